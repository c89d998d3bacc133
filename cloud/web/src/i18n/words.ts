/** Words that arrive from the server (causes, flags, risks …) as keys of the dictionary. */

import { en } from "./en";
import { zh, type Key } from "./zh";

export type Language = "zh" | "en";
export type Parameters = Record<string, string | number>;
export type Translate = (key: Key, parameters?: Parameters) => string;

const DICTIONARIES: Record<Language, Record<Key, string>> = { zh, en };

/** The same input has several names: in the score, in the vocabulary, in the published table. */
const INPUT_ALIASES: Record<string, string> = {
  rr: "resp_rate",
  respiration_rate: "resp_rate",
  respiration: "resp_rate",
  o2: "oxygen",
  on_oxygen: "oxygen",
  supplemental_oxygen: "oxygen",
  nibp_sys: "sbp",
  systolic: "sbp",
  heart_rate: "pulse",
  pulse_rate: "pulse",
  acvpu: "consciousness",
  temperature: "temp",
};

export function translate(language: Language, key: Key, parameters: Parameters = {}): string {
  return DICTIONARIES[language][key].replace(/\{(\w+)\}/g, (whole, name: string) =>
    name in parameters ? String(parameters[name]) : whole,
  );
}

/** Text for a word of a closed set; a word that we do not know yet is shown as it came, never hidden. */
export function wordText(language: Language, family: string, word: string): string {
  const key = `${family}.${word}`;
  return key in zh ? translate(language, key as Key) : word;
}

export function inputText(language: Language, input: string): string {
  return wordText(language, "input", INPUT_ALIASES[input] ?? input);
}
