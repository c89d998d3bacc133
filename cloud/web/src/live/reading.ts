/** What may be shown for one value: a pure decision, so that no component decides differently. */

import { ageState, credibleAt } from "./age";
import type { Value } from "./messages";

export interface Reading {
  /** Null: print `--`. */
  number: number | null;
  /** Struck through and grey: it was measured, but it is not the present. */
  struck: boolean;
  ageMs: number;
  showAge: boolean;
  /** Words of the dictionary as [family, word]: why it is missing or doubtful. */
  notes: [family: string, word: string][];
}

/** Storing takes milliseconds; what is not stored after so long is called so. */
const UNSTORED_AFTER_MS = 3000;

export interface ReadingContext {
  cadenceS: number | undefined;
  silent: boolean;
  now: number;
}

export function readingOf(value: Value, context: ReadingContext): Reading {
  const age = ageState(credibleAt(value), context.cadenceS, context.now);
  const invalid = value.quality === "invalid";
  // A spot measurement stays what it was when its device goes away: its age is always beside it.
  const silenced = context.silent && !age.spot;
  return {
    number: value.value,
    struck: value.value !== null && (age.stale || silenced || invalid),
    ageMs: age.ageMs,
    showAge: age.showAge || silenced,
    notes: notesOf(value, context.now),
  };
}

function notesOf(value: Value, now: number): Reading["notes"] {
  const notes: Reading["notes"] = value.flags.map((flag) => ["flag", flag]);
  // A flag says more than the bare word of the quality; a number that is shown and invalid is called so.
  const qualityAdds = notes.length === 0 || (value.quality === "invalid" && value.value !== null);
  if (value.quality !== "good" && qualityAdds) notes.unshift(["quality", value.quality]);
  if (value.stored_at === null && now - value.arrived_at > UNSTORED_AFTER_MS) {
    notes.push(["storage", "unstored"]);
  }
  return notes;
}
