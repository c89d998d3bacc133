/** A week of duties, by the hour. Days are those of China Standard Time, which has no summer time. */

import type { Duty, Shift } from "../api/duty";

export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;
export const DAYS_OF_WEEK = 7;
const AHEAD_MS = 8 * HOUR_MS;
/** 1 January 1970 was a Thursday; Monday is 0. */
const WEEKDAY_OF_EPOCH = 3;

export type Span = { from: number; to: number };
export type Turn = { duty: Duty; from: number; to: number; before: boolean; after: boolean };

/** When the day of a moment begins. */
export const dayOf = (at: number): number => Math.floor((at + AHEAD_MS) / DAY_MS) * DAY_MS - AHEAD_MS;

/** Monday is 0. */
export const weekdayOf = (at: number): number =>
  (Math.floor((at + AHEAD_MS) / DAY_MS) + WEEKDAY_OF_EPOCH) % DAYS_OF_WEEK;

/** When the week of a moment begins: Monday at midnight. */
export const weekOf = (at: number): number => dayOf(at) - weekdayOf(at) * DAY_MS;

export const daysFrom = (week: number): number[] =>
  Array.from({ length: DAYS_OF_WEEK }, (_, day) => week + day * DAY_MS);

/** The parts of duties that lie on a day, in order; each says whether it goes on before or after it. */
export function turnsOn(duties: readonly Duty[], day: number): Turn[] {
  const end = day + DAY_MS;
  return duties
    .filter((duty) => duty.begins_at < end && (duty.ends_at ?? Infinity) > day)
    .map((duty) => ({
      duty,
      from: Math.max(duty.begins_at, day),
      to: Math.min(duty.ends_at ?? Infinity, end),
      before: duty.begins_at < day,
      after: (duty.ends_at ?? Infinity) > end,
    }))
    .sort((one, other) => one.from - other.from || one.to - other.to);
}

/** When nobody is on duty on a day. */
export function gapsOn(duties: readonly Duty[], day: number): Span[] {
  const gaps: Span[] = [];
  let covered = day;
  for (const turn of turnsOn(duties, day)) {
    if (turn.from > covered) gaps.push({ from: covered, to: turn.from });
    covered = Math.max(covered, turn.to);
  }
  if (covered < day + DAY_MS) gaps.push({ from: covered, to: day + DAY_MS });
  return gaps;
}

/** What is typed into a field of the kind `datetime-local`, as China Standard Time; NaN when it is no time. */
export const momentOf = (typed: string): number => Date.parse(`${typed}+08:00`);

/** For a field of the kind `date`. */
export const dateOf = (at: number): string => new Date(at + AHEAD_MS).toISOString().slice(0, 10);

export type ShiftRow = { weekdays: number[]; begins: string; ends: string };

/** Whether a row lasts past midnight. */
export const isOvernight = (row: ShiftRow): boolean => row.ends <= row.begins;

export const shiftsOf = (rows: readonly ShiftRow[]): Shift[] =>
  rows.flatMap(({ weekdays, begins, ends }) => weekdays.map((weekday) => ({ weekday, begins, ends })));
