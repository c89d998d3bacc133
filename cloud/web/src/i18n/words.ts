/** The dictionary, one file per area, and words that arrive from the server (causes, flags …) as its keys. */

import { acts } from "./areas/acts";
import { account } from "./areas/account";
import { binding } from "./areas/binding";
import { clinical } from "./areas/clinical";
import { devices } from "./areas/devices";
import { duty } from "./areas/duty";
import { monitoring } from "./areas/monitoring";
import { page } from "./areas/page";
import { people } from "./areas/people";
import { pipeline } from "./areas/pipeline";
import { places } from "./areas/places";
import { rights } from "./areas/rights";
import { staff } from "./areas/staff";

export type Language = "zh" | "en";
export type Parameters = Record<string, string | number>;
export type Translate = (key: Key, parameters?: Parameters) => string;

/** Each text in Chinese and in English. */
export const TEXTS = {
  ...page,
  ...monitoring,
  ...clinical,
  ...people,
  ...binding,
  ...rights,
  ...acts,
  ...account,
  ...places,
  ...staff,
  ...duty,
  ...devices,
  ...pipeline,
} as const;
export type Key = keyof typeof TEXTS;

const PLACE: Record<Language, 0 | 1> = { zh: 0, en: 1 };

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
  return TEXTS[key][PLACE[language]].replace(/\{(\w+)\}/g, (whole, name: string) =>
    name in parameters ? String(parameters[name]) : whole,
  );
}

/** Text for a word of a closed set; a word that we do not know yet is shown as it came, never hidden. */
export function wordText(language: Language, family: string, word: string): string {
  const key = `${family}.${word}`;
  return key in TEXTS ? translate(language, key as Key) : word;
}

export function inputText(language: Language, input: string): string {
  return wordText(language, "input", INPUT_ALIASES[input] ?? input);
}
