/** What the server says on `WS /api/live` and over HTTP; the text is `docs/live-api.md`. */

export interface Me {
  name: string;
  display_zh: string;
  display_en: string;
  role: string;
}

export type Vocabulary = Record<string, { zh: string; en: string; unit: string; decimals: number }>;

export interface WaveLayout {
  stream: string;
  rate_hz: number;
  gain: number;
  offset: number;
  unit: string;
}

export interface Source {
  src: string;
  driver: string;
  title_zh: string;
  title_en: string;
  simulated: boolean;
  /** Expected seconds between values; an absent key is a spot measurement. */
  cadence_s: Record<string, number>;
  waves: WaveLayout[];
}

export interface Value {
  src: string;
  key: string;
  value: number | null;
  unit: string;
  measured_at: number;
  received_at: number;
  arrived_at: number;
  /** Null: heard, and not yet known to be stored. */
  stored_at: number | null;
  quality: string;
  flags: string[];
  late: boolean;
}

/** A value that was shown before is committed now. */
export interface StoredMark {
  src: string;
  key: string;
  measured_at: number;
  stored_at: number;
}

export interface ScorePart {
  input: string;
  value: number | string | null;
  points: number | null;
  measured_at: number | null;
  reason: string | null;
}

export interface Score {
  name: string;
  total: number | null;
  total_min: number;
  total_max: number;
  risk: string | null;
  risk_min: string;
  risk_max: string;
  missing: string[];
  parts: ScorePart[];
  at: number;
}

export interface Silence {
  src: string;
  /** Empty: every key of the source. */
  keys: string[];
  cause: string;
  since_at: number;
}

export interface Patient {
  id: string;
  name_zh: string;
  name_en: string;
  bed: string;
  composite_zh: string;
  composite_en: string;
  sources: Source[];
  values: Value[];
  score: Score;
  silences: Silence[];
}

export interface Part {
  ok: boolean;
  since_at: number;
}

export type PatientMessage =
  | { type: "stored"; patient: string; values: StoredMark[] }
  | { type: "score"; patient: string; score: Score }
  | { type: "silence"; patient: string; silences: Silence[] };

/** How far the page has heard the waves: told when it comes back, it gets those that it missed. */
export interface Mark {
  journal: string;
  upto: number;
}

export type ServerMessage =
  | ({ type: "hello"; server_at: number; display_delay_ms: number; patients: Patient[] } & Mark)
  | { type: "values"; patient: string; values: Value[] }
  | PatientMessage
  | ({ type: "tick"; server_at: number; parts: Record<string, Part> } & Mark);

/** Numbers of a trend; a typed array may read them where the answer lies. */
export type TrendColumn = ArrayLike<number>;

export interface TrendSeries {
  unit: string;
  t: TrendColumn;
  min: TrendColumn;
  max: TrendColumn;
  first: TrendColumn;
  last: TrendColumn;
}

export interface TrendGap {
  src: string;
  keys: string[];
  cause: string;
  from_at: number;
  to_at: number | null;
}

export interface Trend {
  from_at: number;
  to_at: number;
  step_ms: number;
  measured_since_at: number | null;
  series: Record<string, TrendSeries>;
  gaps: TrendGap[];
}
