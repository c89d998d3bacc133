/** Times are shown in China Standard Time, wherever the browser stands. */

import type { Language, Translate } from "../i18n/words";

export const TIME_ZONE = "Asia/Shanghai";

const CLOCK = new Intl.DateTimeFormat("en-GB", {
  timeZone: TIME_ZONE,
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});
const MINUTE = new Intl.DateTimeFormat("en-GB", {
  timeZone: TIME_ZONE,
  hour: "2-digit",
  minute: "2-digit",
  hourCycle: "h23",
});
const DAY = new Intl.DateTimeFormat("en-CA", { timeZone: TIME_ZONE, dateStyle: "short" });
const MONTH_DAY: Record<Language, Intl.DateTimeFormat> = {
  zh: new Intl.DateTimeFormat("zh-CN", { timeZone: TIME_ZONE, month: "numeric", day: "numeric" }),
  en: new Intl.DateTimeFormat("en-GB", { timeZone: TIME_ZONE, month: "short", day: "numeric" }),
};

export const clockTime = (at: number): string => (Number.isFinite(at) ? CLOCK.format(at) : "--:--:--");

export const minuteTime = (at: number): string => (Number.isFinite(at) ? MINUTE.format(at) : "--:--");

/** `14:03:22`, with the day before it when it is not today's. */
export function momentTime(at: number, now: number, language: Language): string {
  if (!Number.isFinite(at)) return clockTime(at);
  const sameDay = !Number.isFinite(now) || DAY.format(at) === DAY.format(now);
  return sameDay ? clockTime(at) : `${MONTH_DAY[language].format(at)} ${clockTime(at)}`;
}

/** `14:03`, with the day before it when it is not today's. */
export function momentMinute(at: number, now: number, language: Language): string {
  return momentTime(at, now, language).replace(/:\d\d$/, "");
}

/** `12 秒前`, `3 分钟前`: whole units, rounded down. */
export function ageText(ageMs: number, t: Translate): string {
  const seconds = Math.floor(ageMs / 1000);
  if (!Number.isFinite(seconds)) return "";
  if (seconds < 90) return t("age.seconds", { n: seconds });
  if (seconds < 90 * 60) return t("age.minutes", { n: Math.floor(seconds / 60) });
  if (seconds < 48 * 3600) return t("age.hours", { n: Math.floor(seconds / 3600) });
  return t("age.days", { n: Math.floor(seconds / 86400) });
}
