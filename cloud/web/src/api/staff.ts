/** Who works as what, and by which licence (docs/live-api.md). */

import { ask, read, type Answer } from "./client";

export const PRACTITIONER_KINDS = [
  "physician",
  "specialist",
  "family_doctor",
  "village_doctor",
  "nurse",
  "technician",
  "ambulance_crew",
  "administrator",
  "auditor",
] as const;
export type PractitionerKind = (typeof PRACTITIONER_KINDS)[number];
export const LICENCE_KINDS = [
  "physician",
  "assistant_physician",
  "village_doctor",
  "nurse",
  "technician",
] as const;
export type LicenceKind = (typeof LICENCE_KINDS)[number];

export type Displayed = { display_zh: string; display_en: string };
export type WorkRole = {
  id: number;
  organisation: string;
  role: PractitionerKind;
  begins_at: number;
  ends_at: number | null;
};
export type Practitioner = Displayed & { id: string; roles: WorkRole[] };
export type Qualification = {
  id: number;
  kind: LicenceKind;
  issuer: string;
  number: string;
  valid_from: string;
  /** The first day on which it no longer holds. */
  valid_until: string | null;
  revoked_at: number | null;
};
export type PractitionerRecord = Practitioner & {
  qualifications: Qualification[];
  signing_refusal: string | null;
};
export type NewQualification = {
  kind: LicenceKind;
  number: string;
  issuer: string;
  valid_from: string;
  valid_until?: string;
};

const of = (organisation: string): string =>
  `api/organisations/${encodeURIComponent(organisation)}/practitioners`;
const one = (id: string, part = ""): string => `api/practitioners/${encodeURIComponent(id)}${part}`;

export const readPractitioners = (organisation: string): Promise<Answer<Practitioner[]>> =>
  read(of(organisation));
export const addPractitioner = (
  organisation: string,
  made: Displayed & { role: PractitionerKind },
): Promise<Answer<PractitionerRecord>> => ask("POST", of(organisation), made);
export const readPractitioner = (id: string): Promise<Answer<PractitionerRecord>> => read(one(id));

export const beginRole = (
  id: string,
  organisation: string,
  role: PractitionerKind,
): Promise<Answer<PractitionerRecord>> => ask("POST", one(id, "/roles"), { organisation, role });
export const endRole = (id: string, role: number): Promise<Answer<PractitionerRecord>> =>
  ask("POST", one(id, `/roles/${role}/end`));
export const addQualification = (id: string, made: NewQualification): Promise<Answer<PractitionerRecord>> =>
  ask("POST", one(id, "/qualifications"), made);
export const revokeQualification = (id: string, which: number): Promise<Answer<PractitionerRecord>> =>
  ask("POST", one(id, `/qualifications/${which}/revoke`));
