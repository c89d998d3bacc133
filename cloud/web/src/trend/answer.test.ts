import { describe, expect, it } from "vitest";
import type { Trend } from "../live/messages";
import { COLUMNS_TYPE, decodeTrend, readTrend, TREND_TYPES } from "./answer";
import { columnsOf, trendGroups } from "./columns";
// Both answers of a real server to one question: tests/cloud/trend/test_trend_recording.py.
import json from "./recorded/trend.json?raw";
import columnsUrl from "./recorded/trend.msgpack?inline";

const said = JSON.parse(json) as Trend;
const recorded = Uint8Array.from(atob(columnsUrl.split(",")[1] as string), (letter) => letter.charCodeAt(0));

/** Typed arrays as JSON would have them. */
const plain = (trend: Trend): unknown =>
  JSON.parse(
    JSON.stringify(trend, (_key, value) =>
      ArrayBuffer.isView(value) ? Array.from(value as Int8Array) : value,
    ),
  );

const shifted = (by: number): Uint8Array => {
  const moved = new Uint8Array(recorded.length + by);
  moved.set(recorded, by);
  return moved.subarray(by);
};

describe("a recorded answer in columns", () => {
  it("says what the JSON says", () => {
    expect(Object.keys(said.series).length).toBeGreaterThan(3);
    expect(said.gaps.length).toBeGreaterThan(1);
    expect(plain(decodeTrend(recorded))).toEqual(said);
  });

  it("is read where it lies", () => {
    const whole = Object.values(decodeTrend(recorded).series).map((one) => one.last as Int8Array);
    expect(whole.some((column) => column.buffer === recorded.buffer)).toBe(true);
  });

  it.each([1, 2, 4])("is read wherever it begins (byte %i)", (by) => {
    expect(plain(decodeTrend(shifted(by)))).toEqual(said);
  });

  it("is drawn as the JSON is", () => {
    const read = decodeTrend(recorded);
    expect(trendGroups(read)).toEqual(trendGroups(said));
    for (const keys of trendGroups(said)) expect(columnsOf(read, keys)).toEqual(columnsOf(said, keys));
  });

  it("is refused when it ends too early", () => {
    expect(() => decodeTrend(recorded.subarray(0, recorded.length - 1))).toThrow(RangeError);
  });
});

describe("an answer", () => {
  it("is read by its type", async () => {
    const columns = new Response(recorded, { headers: { "content-type": COLUMNS_TYPE } });
    const text = new Response(json, { headers: { "content-type": "application/json" } });
    expect(plain(await readTrend(columns))).toEqual(await readTrend(text));
  });

  it("is asked for in columns first", () => {
    expect(TREND_TYPES.split(", ")).toEqual([COLUMNS_TYPE, "application/json;q=0.5"]);
  });
});
