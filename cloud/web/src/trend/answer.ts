/** The answer of the trend's route: columns that typed arrays read where they lie, or JSON (docs/live-api.md). */

import { decode } from "@msgpack/msgpack";
import { LITTLE_ENDIAN } from "../live/byte-order";
import type { Trend, TrendColumn, TrendSeries } from "../live/messages";

export const COLUMNS_TYPE = "application/vnd.qianli.trend+msgpack";

/** What to ask for: columns are little-endian, and so is every machine that we know of. */
export const TREND_TYPES = LITTLE_ENDIAN ? `${COLUMNS_TYPE}, application/json;q=0.5` : "application/json";

const ARRAYS = {
  i1: Int8Array,
  i2: Int16Array,
  i4: Int32Array,
  u1: Uint8Array,
  u2: Uint16Array,
  u4: Uint32Array,
  f8: Float64Array,
};

type Kind = keyof typeof ARRAYS;
/** `t` to `last`: where the columns begin within `columns`. */
type SeriesAt = Record<"t" | "min" | "max" | "first" | "last", number> & {
  unit: string;
  n: number;
  first_t: number;
  t_kind: Kind;
  kind: Kind;
  decimals: number;
};
type Answer = Omit<Trend, "series"> & { series: Record<string, SeriesAt>; columns: Uint8Array };

export async function readTrend(answer: Response): Promise<Trend> {
  const type = answer.headers.get("content-type");
  if (type !== COLUMNS_TYPE) return (await answer.json()) as Trend;
  return decodeTrend(new Uint8Array(await answer.arrayBuffer()));
}

export function decodeTrend(bytes: Uint8Array): Trend {
  const { from_at, to_at, step_ms, measured_since_at, series, gaps, columns } = decode(bytes) as Answer;
  const read = Object.entries(series).map(([key, one]) => [key, seriesOf(one, columns, step_ms)] as const);
  return { from_at, to_at, step_ms, measured_since_at, series: Object.fromEntries(read), gaps };
}

/** Whole numbers and doubles are read as they lie; tenths and hundredths are divided. */
function seriesOf(one: SeriesAt, columns: Uint8Array, stepMs: number): TrendSeries {
  const units = 10 ** one.decimals;
  const numbers = (at: number): TrendColumn => {
    const lying = view(columns, one.kind, at, one.n);
    return units === 1 ? lying : mapped(lying, (number) => number / units);
  };
  return {
    unit: one.unit,
    t: mapped(view(columns, one.t_kind, one.t, one.n), (number) => one.first_t + number * stepMs),
    min: numbers(one.min),
    max: numbers(one.max),
    first: numbers(one.first),
    last: numbers(one.last),
  };
}

/** A plain loop: `Float64Array.from` asks an iterator for each number and takes ten times as long. */
function mapped(numbers: TrendColumn, change: (number: number) => number): Float64Array {
  const changed = new Float64Array(numbers.length);
  for (let i = 0; i < numbers.length; i++) changed[i] = change(numbers[i] as number);
  return changed;
}

/** The server begins every column where its array may begin; anywhere else it has to be copied. */
function view(columns: Uint8Array, kind: Kind, at: number, n: number): TrendColumn {
  const Numbers = ARRAYS[kind];
  const start = columns.byteOffset + at;
  if (start % Numbers.BYTES_PER_ELEMENT === 0) return new Numbers(columns.buffer as ArrayBuffer, start, n);
  return new Numbers(columns.slice(at, at + n * Numbers.BYTES_PER_ELEMENT).buffer);
}
