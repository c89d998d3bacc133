import { describe, expect, it } from "vitest";
import { translate } from "../i18n/words";
import { ageText, clockTime, minuteTime, momentMinute, momentTime } from "./time";

const AT = Date.UTC(2026, 10, 24, 18, 3, 22);
const zh = (...args: Parameters<typeof translate> extends [unknown, ...infer Rest] ? Rest : never) =>
  translate("zh", ...args);

describe("a time", () => {
  it("is shown in China Standard Time", () => {
    expect(clockTime(AT)).toBe("02:03:22");
    expect(minuteTime(AT)).toBe("02:03");
  });

  it("carries its day when that is not today", () => {
    expect(momentTime(AT, AT + 3_600_000, "zh")).toBe("02:03:22");
    expect(momentTime(AT, AT + 86_400_000, "zh")).toBe("11/25 02:03:22");
    expect(momentMinute(AT, AT + 86_400_000, "en")).toBe("25 Nov 02:03");
  });

  it("is dashes while the clock is unknown", () => expect(clockTime(NaN)).toBe("--:--:--"));
});

describe("an age", () => {
  it.each([
    [0, "0 秒前"],
    [89_999, "89 秒前"],
    [90_000, "1 分钟前"],
    [420_000, "7 分钟前"],
    [90 * 60_000, "1 小时前"],
    [49 * 3_600_000, "2 天前"],
    [NaN, ""],
  ])("of %i ms reads %s", (ageMs, text) => expect(ageText(ageMs, zh)).toBe(text));
});
