import { describe, expect, it } from "vitest";
import type { Trend, TrendSeries } from "../live/messages";
import { columnsOf, gapsOf, trendGroups } from "./columns";

const series = (t: number[], last: number[]): TrendSeries => ({
  unit: "/min",
  t,
  first: last,
  last,
  min: last.map((value) => value - 1),
  max: last.map((value) => value + 1),
});

const trend = (change: Partial<Trend>): Trend => ({
  from_at: 0,
  to_at: 100_000,
  step_ms: 1000,
  measured_since_at: 1000,
  series: {},
  gaps: [],
  ...change,
});

describe("the columns of a chart", () => {
  it("keep neighbours joined", () => {
    const { x, y } = columnsOf(trend({ series: { spo2: series([1000, 2000], [97, 96]) } }), ["spo2"]);
    expect(x).toEqual([1, 2]);
    expect(y).toEqual([
      [97, 96],
      [96, 95],
      [98, 97],
    ]);
  });

  it("have an empty instant where two buckets are more than one step apart", () => {
    const { x, y } = columnsOf(trend({ series: { spo2: series([1000, 5000], [97, 96]) } }), ["spo2"]);
    expect(x).toEqual([1, 2, 5]);
    expect(y[0]).toEqual([97, null, 96]);
  });

  it("leave a key empty where only another one was measured", () => {
    const both = { heart_rate: series([1000], [70]), pulse_rate: series([1000, 2000], [71, 72]) };
    const { y } = columnsOf(trend({ series: both }), ["heart_rate", "pulse_rate"]);
    expect([y[0], y[3]]).toEqual([
      [70, null],
      [71, 72],
    ]);
  });
});

describe("charts", () => {
  it("group what belongs together and give an unknown key its own", () => {
    const one = series([1000], [1]);
    const all = { glucose_isf: one, spo2: one, pulse_rate_spo2: one, heart_rate: one, temp: series([], []) };
    expect(trendGroups(trend({ series: all }))).toEqual([
      ["heart_rate", "pulse_rate_spo2"],
      ["spo2"],
      ["glucose_isf"],
    ]);
  });

  it("show only the gaps of what they draw", () => {
    const gap = { cause: "cable", from_at: 0, to_at: null };
    const gaps = [
      { ...gap, src: "strap", keys: [] },
      { ...gap, src: "oximeter", keys: ["spo2"] },
    ];
    const keysOf = (src: string) => (src === "strap" ? ["heart_rate"] : []);
    expect(gapsOf(trend({ gaps }), ["spo2"], keysOf).map((g) => g.src)).toEqual(["oximeter"]);
    expect(gapsOf(trend({ gaps }), ["heart_rate"], keysOf).map((g) => g.src)).toEqual(["strap"]);
  });
});
