/** A score in words: never a plain total while an input is missing. */

import { inputText, translate, wordText, type Language } from "../i18n/words";
import type { Score } from "../live/messages";

export function scoreNumber(score: Score): string {
  if (score.total !== null) return String(score.total);
  return score.total_min === score.total_max
    ? String(score.total_min)
    : `${score.total_min}–${score.total_max}`;
}

/** `NEWS2 2–9 · 缺: 呼吸, 体温`, or `NEWS2 3` when it is complete. */
export function scoreText(score: Score, language: Language): string {
  const head = `${score.name} ${scoreNumber(score)}`;
  const missing = missingText(score, language);
  return missing ? `${head} · ${missing}` : head;
}

export function missingText(score: Score, language: Language): string {
  if (score.missing.length === 0) return "";
  const inputs = score.missing.map((input) => inputText(language, input)).join(", ");
  return translate(language, "score.missing", { inputs });
}

/** What is certain: the band itself, "at least" the lower one, or an open range. */
export function bandText(score: Score, language: Language): string {
  const risk = (name: string) => wordText(language, "risk", name);
  if (score.total !== null && score.risk)
    return translate(language, "score.band", { risk: risk(score.risk) });
  if (score.risk_min === score.risk_max) {
    return translate(language, "score.band", { risk: risk(score.risk_min) });
  }
  if (score.risk_min === "low") {
    return translate(language, "score.bandOpen", { min: risk(score.risk_min), max: risk(score.risk_max) });
  }
  return translate(language, "score.bandAtLeast", { risk: risk(score.risk_min) });
}

/** The band that may be filled with colour: null while even the lowest possible total could be `low`. */
export function certainBand(score: Score): string | null {
  if (score.total !== null) return score.risk;
  return score.risk_min === score.risk_max || score.risk_min !== "low" ? score.risk_min : null;
}

export const BAND_SYMBOLS: Record<string, string> = {
  low: "○",
  "low-medium": "◔",
  medium: "◐",
  high: "●",
};
