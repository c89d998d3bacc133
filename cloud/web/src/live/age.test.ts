import { describe, expect, it } from "vitest";
import { ageState } from "./age";

const NOW = 1_790_000_000_000;
const HOUR = 3_600_000;
const state = (ageMs: number, cadenceS?: number) => ageState(NOW - ageMs, cadenceS, NOW);

describe("the age of a continuous value", () => {
  it.each([
    [1500, false, false],
    [2000, false, false],
    [2001, true, false],
    [5000, true, false],
    [5001, true, true],
  ])("of one per second, at %i ms: written %s, struck %s", (ageMs, showAge, stale) => {
    expect(state(ageMs, 1)).toMatchObject({ showAge, stale, spot: false });
  });

  it("grows stale at three cadences when those are longer than five seconds", () => {
    expect(state(29_999, 10).stale).toBe(false);
    expect(state(30_001, 10).stale).toBe(true);
  });
});

describe("the age of a spot measurement", () => {
  it("is always written", () => expect(state(0)).toMatchObject({ showAge: true, stale: false, spot: true }));
  it("makes it stale after four hours", () => {
    expect(state(4 * HOUR).stale).toBe(false);
    expect(state(4 * HOUR + 1).stale).toBe(true);
  });
});

describe("an unsure clock", () => {
  it("makes every value stale", () => {
    expect(ageState(NOW, 1, NaN).stale).toBe(true);
    expect(ageState(NOW, undefined, NaN).stale).toBe(true);
  });
  it("never gives a negative age", () => expect(state(-500, 1).ageMs).toBe(0));
});
