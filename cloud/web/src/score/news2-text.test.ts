import { describe, expect, it } from "vitest";
import type { Score } from "../live/messages";
import { bandText, certainBand, scoreText } from "./news2-text";

const score = (change: Partial<Score> = {}): Score => ({
  name: "NEWS2",
  total: null,
  total_min: 2,
  total_max: 9,
  risk: null,
  risk_min: "low",
  risk_max: "high",
  missing: ["rr", "temp", "acvpu", "oxygen"],
  parts: [],
  at: 0,
  ...change,
});
const complete = score({ total: 7, total_min: 7, total_max: 7, risk: "high", risk_min: "high", missing: [] });

describe("NEWS2 in words", () => {
  it("gives bounds and what is missing while an input is missing", () => {
    expect(scoreText(score(), "zh")).toBe("NEWS2 2–9 · 缺: 呼吸, 体温, 意识, 吸氧");
    expect(scoreText(score({ missing: ["resp_rate"] }), "en")).toBe("NEWS2 2–9 · missing: resp. rate");
  });

  it("gives one number and its band when it is complete", () => {
    expect(scoreText(complete, "zh")).toBe("NEWS2 7");
    expect(bandText(complete, "en")).toBe("high risk");
    expect(certainBand(complete)).toBe("high");
  });

  it("fills no colour while even a low risk is possible", () => {
    expect(certainBand(score())).toBeNull();
    expect(bandText(score(), "zh")).toBe("风险 低 至 高,待补全");
  });

  it("says at least when the lower bound is already above low", () => {
    const atLeast = score({ risk_min: "medium" });
    expect(bandText(atLeast, "zh")).toBe("风险至少 中");
    expect(certainBand(atLeast)).toBe("medium");
  });

  it("is sure of the band when both bounds are in it", () => {
    expect(certainBand(score({ risk_min: "low", risk_max: "low" }))).toBe("low");
  });
});
