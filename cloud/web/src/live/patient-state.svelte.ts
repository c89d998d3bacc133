import { credibleAt } from "./age";
import type { Patient, PatientMessage, Score, Silence, Source, StoredMark, Value } from "./messages";
import type { WaveHeader } from "./wave-frame";
import { WaveTrack } from "./wave-track";

/** Seconds of samples kept per stream: the longest window, the display delay, and some slack. */
const TRACK_SECONDS = 16;

/** One patient as the server last described them, plus what has arrived since. */
export class PatientState {
  readonly id: string;
  readonly about: Patient;
  readonly sources: ReadonlyMap<string, Source>;
  values = $state.raw<ReadonlyMap<string, Value>>(new Map());
  score = $state.raw<Score | null>(null);
  silences = $state.raw<readonly Silence[]>([]);
  /** Not reactive: painters look at it every frame. */
  private readonly tracks: Map<string, WaveTrack>;

  constructor(patient: Patient, before: PatientState | undefined) {
    this.id = patient.id;
    this.about = patient;
    this.sources = new Map(patient.sources.map((source) => [source.src, source]));
    this.values = new Map(patient.values.map((value) => [`${value.src}/${value.key}`, value]));
    this.score = patient.score;
    this.silences = patient.silences;
    this.tracks = tracksOf(patient, before);
  }

  accept(values: readonly Value[]): Value[] {
    const next = new Map(this.values);
    const fresh = values.filter((value) => {
      const shown = next.get(`${value.src}/${value.key}`);
      if (shown && credibleAt(shown) > credibleAt(value)) return false;
      next.set(`${value.src}/${value.key}`, value);
      return true;
    });
    if (fresh.length > 0) this.values = next;
    return fresh;
  }

  /** What the server says of this patient alone, except new values. */
  take(message: PatientMessage): void {
    if (message.type === "score") this.score = message.score;
    else if (message.type === "silence") this.silences = message.silences;
    else this.markStored(message.values);
  }

  /** What is shown already is stored now; a newer value that took its place waits for its own mark. */
  private markStored(marks: readonly StoredMark[]): void {
    const next = new Map(this.values);
    for (const mark of marks) {
      const name = `${mark.src}/${mark.key}`;
      const shown = next.get(name);
      if (shown?.measured_at === mark.measured_at) next.set(name, { ...shown, stored_at: mark.stored_at });
    }
    this.values = next;
  }

  /** The newest value of the first of `keys` that anyone measures, whichever source it is from. */
  newest(...keys: string[]): Value | undefined {
    for (const key of keys) {
      let best: Value | undefined;
      for (const value of this.values.values()) {
        if (value.key === key && (!best || credibleAt(value) > credibleAt(best))) best = value;
      }
      if (best) return best;
    }
    return undefined;
  }

  cadenceOf(value: Value): number | undefined {
    return this.sources.get(value.src)?.cadence_s[value.key];
  }

  isSilent(src: string, key: string): boolean {
    return this.silences.some((s) => s.src === src && (s.keys.length === 0 || s.keys.includes(key)));
  }

  track(src: string, stream: string): WaveTrack | undefined {
    return this.tracks.get(`${src}/${stream}`);
  }

  /** The first source that declares a stream whose name begins with `family` (`ecg`, `pleth`). */
  streamOf(family: string): { src: string; stream: string } | undefined {
    for (const source of this.about.sources) {
      const layout = source.waves.find((wave) => wave.stream.startsWith(family));
      if (layout) return { src: source.src, stream: layout.stream };
    }
    return undefined;
  }

  appendWave(header: WaveHeader, samples: Int32Array): void {
    const name = `${header.src}/${header.stream}`;
    const rateHz = header.rate[0] / header.rate[1];
    let track = this.tracks.get(name);
    if (!track || Math.abs(track.rateHz - rateHz) > 1e-6) {
      track = new WaveTrack(rateHz, header.unit, TRACK_SECONDS);
      this.tracks.set(name, track);
    }
    track.append(header, samples);
  }
}

/** Streams that are still declared keep the samples they have: those carry their own times. */
function tracksOf(patient: Patient, before: PatientState | undefined): Map<string, WaveTrack> {
  const tracks = new Map<string, WaveTrack>();
  for (const source of patient.sources) {
    for (const wave of source.waves) {
      const kept = before?.track(source.src, wave.stream);
      tracks.set(
        `${source.src}/${wave.stream}`,
        kept ?? new WaveTrack(wave.rate_hz, wave.unit, TRACK_SECONDS),
      );
    }
  }
  return tracks;
}
