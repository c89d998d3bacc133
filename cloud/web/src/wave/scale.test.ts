import { describe, expect, it } from "vitest";
import { ecgScale, needsRescale, plethScale, unitsPerMv } from "./scale";

describe("the scale of an ECG", () => {
  it("is the same for every signal that fits", () => {
    expect(ecgScale({ low: -0.2, high: 1.1 }, "mV").span).toBe(3);
    expect(ecgScale({ low: -0.1, high: 0.4 }, "mV").span).toBe(3);
  });

  it("grows by a step when the signal does not fit", () => {
    expect(ecgScale({ low: -2, high: 2 }, "mV").span).toBe(5);
  });

  it("means the same voltage in microvolts", () => {
    expect(ecgScale({ low: -200, high: 1100 }, "uV").span).toBe(3000);
    expect(unitsPerMv("uV")).toBeCloseTo(1000);
  });
});

describe("a new scale", () => {
  const scale = { centre: 0.5, span: 3 };
  it("is not taken while the signal stays inside", () => {
    expect(needsRescale(scale, { low: -0.5, high: 1.5 }, { centre: 0.5, span: 3 })).toBe(false);
  });
  it("is taken when the signal leaves the lane", () => {
    expect(needsRescale(scale, { low: -0.5, high: 2.1 }, { centre: 0.8, span: 3 })).toBe(true);
  });
  it("is taken when the pleth became much smaller", () => {
    const small = { low: 45, high: 55 };
    expect(needsRescale({ centre: 50, span: 100 }, small, plethScale(small))).toBe(true);
  });
});
