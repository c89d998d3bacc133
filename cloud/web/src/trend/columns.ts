/** From the server's buckets to the columns of a chart: a hole stays a hole. */

import type { Trend, TrendGap } from "../live/messages";

export interface Columns {
  /** Seconds since the epoch, ascending. */
  x: number[];
  /** Three columns per key, in the order of the keys: last, min, max. */
  y: (number | null)[][];
}

const EMPTY = { t: [], last: [], min: [], max: [] };

/** Charts from top to bottom; a key that is in none of them gets one of its own. */
const GROUPS = [
  ["heart_rate", "pulse_rate_spo2", "pulse_rate"],
  ["spo2"],
  ["nibp_sys", "nibp_dia", "nibp_mean"],
  ["resp_rate", "resp_rate_imp"],
];

export function trendGroups(trend: Trend): string[][] {
  const present = Object.keys(trend.series).filter((key) => trend.series[key]?.t.length);
  const known = GROUPS.map((group) => group.filter((key) => present.includes(key)));
  const others = present.filter((key) => !GROUPS.flat().includes(key)).map((key) => [key]);
  return [...known, ...others].filter((group) => group.length > 0);
}

export function columnsOf(trend: Trend, keys: readonly string[]): Columns {
  const times = new Set<number>();
  for (const key of keys) for (const t of Array.from(trend.series[key]?.t ?? [])) times.add(t);
  const x = withHoles(
    [...times].sort((a, b) => a - b),
    trend.step_ms,
  );
  const place = new Map(x.map((t, i) => [t, i]));
  const y = keys.flatMap((key) => {
    const series = trend.series[key] ?? EMPTY;
    return [series.last, series.min, series.max].map((column) => {
      const filled: (number | null)[] = x.map(() => null);
      for (let i = 0; i < series.t.length; i++) {
        filled[place.get(series.t[i] as number) as number] = column[i] ?? null;
      }
      return filled;
    });
  });
  return { x: x.map((t) => t / 1000), y };
}

/** Puts an empty instant between two buckets that are more than one step apart. */
function withHoles(times: readonly number[], stepMs: number): number[] {
  const all: number[] = [];
  times.forEach((t, i) => {
    const before = times[i - 1];
    if (before !== undefined && t - before > stepMs * 1.5) all.push(before + stepMs);
    all.push(t);
  });
  return all;
}

/** The gaps that explain a hole in one of `keys`; `keysOf` says what a source has measured. */
export function gapsOf(
  trend: Trend,
  keys: readonly string[],
  keysOf: (src: string) => readonly string[],
): TrendGap[] {
  return trend.gaps.filter((gap) => {
    const silent = gap.keys.length > 0 ? gap.keys : keysOf(gap.src);
    return silent.some((key) => keys.includes(key));
  });
}
