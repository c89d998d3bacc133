import { describe, expect, it } from "vitest";
import type { Value } from "./messages";
import { readingOf } from "./reading";

const NOW = 1_790_000_000_000;
const LIVE = { cadenceS: 1, silent: false, now: NOW };

const value = (change: Partial<Value> = {}): Value => ({
  src: "s",
  key: "heart_rate",
  value: 72,
  unit: "/min",
  measured_at: NOW - 800,
  received_at: NOW - 700,
  arrived_at: NOW - 600,
  stored_at: NOW - 590,
  quality: "good",
  flags: [],
  late: false,
  ...change,
});

describe("what is shown of a value", () => {
  it("is the plain number while it is fresh and good", () => {
    expect(readingOf(value(), LIVE)).toMatchObject({ number: 72, struck: false, showAge: false, notes: [] });
  });

  it("is no number but the reason when the device had none", () => {
    const reading = readingOf(value({ value: null, quality: "invalid", flags: ["no_contact"] }), LIVE);
    expect(reading).toMatchObject({ number: null, notes: [["flag", "no_contact"]] });
  });

  it("is not fresh because the clock of its device runs ahead", () => {
    const ahead = value({ measured_at: NOW + 120_000, arrived_at: NOW - 9_000 });
    expect(readingOf(ahead, LIVE)).toMatchObject({ struck: true, ageMs: 9_000 });
  });

  it.each([
    [2_900, []],
    [3_100, [["storage", "unstored"]]],
  ])("is called unstored when nobody has confirmed it %i ms after it came", (ageMs, notes) => {
    const heard = value({ arrived_at: NOW - ageMs, stored_at: null });
    expect(readingOf(heard, LIVE)).toMatchObject({ number: 72, struck: false, notes });
  });

  it("is struck and dated at once when its source is silent", () => {
    expect(readingOf(value(), { ...LIVE, silent: true })).toMatchObject({ struck: true, showAge: true });
  });

  it("stays as it was when the source of a spot measurement goes away", () => {
    const spot = { cadenceS: undefined, silent: true, now: NOW };
    expect(readingOf(value(), spot)).toMatchObject({ struck: false, showAge: true });
  });

  it("is struck and called invalid when the device does not stand by it", () => {
    const reading = readingOf(value({ quality: "invalid", flags: ["movement"] }), LIVE);
    expect(reading.struck).toBe(true);
    expect(reading.notes).toEqual([
      ["quality", "invalid"],
      ["flag", "movement"],
    ]);
  });

  it("says questionable when no flag says why", () => {
    expect(readingOf(value({ quality: "questionable" }), LIVE).notes).toEqual([["quality", "questionable"]]);
  });
});
