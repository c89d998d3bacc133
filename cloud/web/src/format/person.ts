import type { Person } from "../api/people";
import { language, pick, word } from "../i18n/language.svelte";
import { TIME_ZONE } from "./time";

const MOMENT = new Intl.DateTimeFormat("sv-SE", {
  timeZone: TIME_ZONE,
  dateStyle: "short",
  timeStyle: "medium",
});

/** `2026-11-25 14:03:22`, in China Standard Time. */
export const fullMoment = (at: number): string => MOMENT.format(at);

export const nameOf = (person: Pick<Person, "name_zh" | "name_en">): string =>
  pick(person.name_zh, person.name_en);

/** `女 · 1962-03-07 · 64 岁`: only what is known. */
export function aboutPerson(person: Person, today = new Date()): string {
  const parts = person.sex === "unknown" ? [] : [word("sex", person.sex)];
  if (person.birth_date) parts.push(person.birth_date, ageInYears(person.birth_date, today));
  return parts.join(" · ");
}

function ageInYears(birthDate: string, today: Date): string {
  const [year = 0, month = 0, day = 0] = birthDate.split("-").map(Number);
  const had = [today.getMonth() + 1 - month, today.getDate() - day];
  const before = (had[0] ?? 0) < 0 || (had[0] === 0 && (had[1] ?? 0) < 0);
  const years = today.getFullYear() - year - (before ? 1 : 0);
  return language.current === "zh" ? `${years} 岁` : `${years} y`;
}
