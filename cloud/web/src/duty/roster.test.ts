import { describe, expect, it } from "vitest";
import type { Duty } from "../api/duty";
import {
  DAY_MS,
  dateOf,
  dayOf,
  daysFrom,
  gapsOn,
  HOUR_MS,
  isOvernight,
  momentOf,
  shiftsOf,
  turnsOn,
  weekdayOf,
  weekOf,
} from "./roster";

const WEDNESDAY = Date.parse("2026-11-25T00:00:00+08:00");
const at = (hour: number): number => WEDNESDAY + hour * HOUR_MS;
const duty = (begins_at: number, ends_at: number | null): Duty => ({
  id: begins_at,
  team: "team",
  person: "person",
  begins_at,
  ends_at,
});
const hours = (spans: { from: number; to: number }[]): number[][] =>
  spans.map(({ from, to }) => [(from - WEDNESDAY) / HOUR_MS, (to - WEDNESDAY) / HOUR_MS]);

describe("the days of a roster", () => {
  it("begin at midnight of China Standard Time", () => {
    expect(dayOf(Date.parse("2026-11-24T16:00:00Z"))).toBe(WEDNESDAY);
    expect(dayOf(Date.parse("2026-11-24T15:59:59Z"))).toBe(WEDNESDAY - DAY_MS);
  });

  it("make a week from Monday on", () => {
    expect(weekdayOf(WEDNESDAY)).toBe(2);
    expect(dateOf(weekOf(at(23)))).toBe("2026-11-23");
    expect(daysFrom(weekOf(WEDNESDAY)).map(dateOf).at(-1)).toBe("2026-11-29");
  });
});

describe("the turns of a day", () => {
  it("are cut at midnight and say that they go on", () => {
    const night = duty(at(20), at(32));
    expect(turnsOn([night], WEDNESDAY)).toMatchObject([
      { from: at(20), to: at(24), before: false, after: true },
    ]);
    expect(turnsOn([night], WEDNESDAY + DAY_MS)).toMatchObject([
      { from: at(24), to: at(32), before: true, after: false },
    ]);
  });

  it("leave out what ends at the day's first moment or begins at its last", () => {
    expect(turnsOn([duty(at(-8), at(0)), duty(at(24), at(32))], WEDNESDAY)).toEqual([]);
  });

  it("hold a standing duty from its beginning on", () => {
    const standing = duty(at(9), null);
    expect(turnsOn([standing], WEDNESDAY - DAY_MS)).toEqual([]);
    expect(turnsOn([standing], WEDNESDAY + DAY_MS)).toMatchObject([{ before: true, after: true }]);
  });

  it("stand in the order of the day", () => {
    const turns = turnsOn([duty(at(16), at(24)), duty(at(0), at(8))], WEDNESDAY);
    expect(turns.map((turn) => turn.from)).toEqual([at(0), at(16)]);
  });
});

describe("the gaps of a day", () => {
  it("are the whole day when nobody is on duty", () => {
    expect(hours(gapsOn([], WEDNESDAY))).toEqual([[0, 24]]);
  });

  it("lie between the turns, however these overlap", () => {
    const duties = [duty(at(8), at(17)), duty(at(9), at(12)), duty(at(20), at(32))];
    expect(hours(gapsOn(duties, WEDNESDAY))).toEqual([
      [0, 8],
      [17, 20],
    ]);
  });

  it("are none when turns meet", () => {
    expect(gapsOn([duty(at(0), at(12)), duty(at(12), at(24))], WEDNESDAY)).toEqual([]);
  });
});

describe("a weekly pattern", () => {
  it("is one shift for each weekday of each row", () => {
    const rows = [
      { weekdays: [0, 1], begins: "08:00", ends: "16:00" },
      { weekdays: [6], begins: "20:00", ends: "08:00" },
    ];
    expect(shiftsOf(rows)).toEqual([
      { weekday: 0, begins: "08:00", ends: "16:00" },
      { weekday: 1, begins: "08:00", ends: "16:00" },
      { weekday: 6, begins: "20:00", ends: "08:00" },
    ]);
  });

  it("lasts past midnight when it does not end after its beginning", () => {
    expect(isOvernight({ weekdays: [], begins: "20:00", ends: "08:00" })).toBe(true);
    expect(isOvernight({ weekdays: [], begins: "08:00", ends: "08:00" })).toBe(true);
    expect(isOvernight({ weekdays: [], begins: "08:00", ends: "16:00" })).toBe(false);
  });

  it("takes typed times as China Standard Time", () => {
    expect(momentOf("2026-11-25T08:30")).toBe(at(8.5));
    expect(momentOf("")).toBeNaN();
  });
});
