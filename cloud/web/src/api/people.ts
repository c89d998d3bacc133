/** `/api/people` (docs/live-api.md). */

import { ask, read, type Answer } from "./client";

export const IDENTIFIER_KINDS = [
  "resident_id",
  "health_card",
  "insurance",
  "passport",
  "hospital_record",
  "temporary",
] as const;
export type IdentifierKind = (typeof IDENTIFIER_KINDS)[number];

export type Person = {
  id: string;
  site: string;
  bed: string;
  name_zh: string;
  name_en: string;
  birth_date: string | null;
  sex: "male" | "female" | "unknown";
};
export type NumberReading = { kind: IdentifierKind; issuer: string; display: string };
export type Identifier = NumberReading & {
  standing: "held" | "claimed";
  patient: string;
  added_at: number;
  added_by: string;
};
export type Merge = {
  merged: string;
  survivor: string;
  merged_at: number;
  merged_by: string;
  reason: string;
  rule: string | null;
  unmerged_at: number | null;
  unmerge_reason: string | null;
};
export type PersonRecord = Person & { merged: string[]; identifiers: Identifier[]; merges: Merge[] };
export type Resolution = {
  outcome: "found" | "not_there" | "ambiguous" | "invalid";
  reason: string | null;
  readings: NumberReading[];
  found: { person: Person; reading: NumberReading; claimed_too: boolean }[];
  near: Person[];
};
export type Candidate = { person: Person; rules: string[] };
export type TypedNumber = { kind: IdentifierKind; text: string; issuer?: string };
export type NewPerson = {
  name_zh: string;
  name_en: string;
  birth_date?: string;
  sex: Person["sex"];
  identifiers: TypedNumber[];
  unknown: boolean;
  registration: string;
};
export type Registration = {
  outcome: "created" | "merged" | "already_there";
  person: PersonRecord;
  candidates: Candidate[];
};

const at = (id: string, part = ""): string => `api/people/${encodeURIComponent(id)}${part}`;

export const resolveNumber = (text: string, kind?: IdentifierKind): Promise<Answer<Resolution>> =>
  ask("POST", "api/people/resolve", { text, ...(kind && { kind }) });

export const readPerson = (id: string): Promise<Answer<PersonRecord>> => read(at(id));

export const registerPerson = (person: NewPerson): Promise<Answer<Registration>> =>
  ask("POST", "api/people", person);

export const addNumber = (
  id: string,
  number: TypedNumber,
): Promise<Answer<{ standing: string; person: PersonRecord }>> => ask("POST", at(id, "/identifiers"), number);

export const readCandidates = (id: string): Promise<Answer<Candidate[]>> => read(at(id, "/candidates"));

export const mergePerson = (id: string, into: string, reason: string): Promise<Answer<PersonRecord>> =>
  ask("POST", at(id, "/merge"), { into, reason });

export const unmergePerson = (id: string, reason: string): Promise<Answer<PersonRecord>> =>
  ask("POST", at(id, "/unmerge"), { reason });
