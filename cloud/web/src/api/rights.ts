/** Consent, family, emergencies, and who looked (docs/live-api.md). */

import { ask, read, type Answer } from "./client";
import type { IdentifierKind } from "./people";

export const DATA_CLASSES = ["general", "sensitive", "highly_sensitive"] as const;
export type DataClass = (typeof DATA_CLASSES)[number];
export const CATEGORIES = ["life_threat", "unconscious", "handover_gap", "public_health", "other"] as const;
export type Category = (typeof CATEGORIES)[number];
export const GRADES = ["notices", "numbers", "everything"] as const;
export type Grade = (typeof GRADES)[number];

export type Name = { id: string; zh: string; en: string };
export type ConsentText = { name: string; version: number; language: string; text: string; sha256: string };
export type Consent = {
  id: string;
  patient: string;
  capacity: "patient" | "guardian";
  given_by: string;
  recorded_by: string;
  to_person: Name | null;
  to_organisation: Name | null;
  purposes: string[];
  up_to: DataClass;
  text: string;
  version: number;
  language: string;
  /** Found out by the server at each look: only "signed" is proved. */
  signature: "signed" | "unsigned" | "broken";
  /** Files for `qianli signature verify`. */
  proofs: string[];
  given_at: number;
  ends_at: number | null;
  withdrawn_at: number | null;
};
export type NewConsent = {
  capacity: "patient" | "guardian";
  to_organisation: string;
  up_to: DataClass;
  text: string;
  version: number;
  language: string;
};
export type Link = {
  id: string;
  patient: string;
  relation: "self" | "guardian" | "family";
  grade: Grade;
  person: string | null;
  made_at: number;
  ends_at: number | null;
  code_ends_at: number;
  revoked_at: number | null;
};
export type Invitation = { id: string; code: string; code_ends_at: number };
export type Glass = {
  id: string;
  patient: string;
  person: Name;
  organisation: Name;
  role: string;
  category: Category;
  reason: string;
  opened_at: number;
  ends_at: number;
  is_overdue: boolean;
  reviewed_at: number | null;
  verdict: "justified" | "not_justified" | null;
  note: string | null;
};
export type Notice = {
  id: number;
  patient: string;
  kind: string;
  written_at: number;
  by: Name;
  glass: Glass | null;
  consent: Pick<Consent, "id" | "to_person" | "to_organisation" | "up_to"> | null;
};
export type Look = {
  sequence: number;
  at: number;
  patient: string;
  person: Name;
  organisation: Name;
  role: string;
  purpose: string;
  basis: string;
  action: string;
  outcome: string;
};

const of = (id: string, part: string): string => `api/people/${encodeURIComponent(id)}/${part}`;
const page = (before?: number): string => (before === undefined ? "" : `?before=${before}`);

export const readConsentTexts = (): Promise<Answer<ConsentText[]>> => read("api/consent-texts");
export const readConsents = (id: string): Promise<Answer<Consent[]>> => read(of(id, "consents"));
export const recordConsent = (id: string, consent: NewConsent): Promise<Answer<Consent>> =>
  ask("POST", of(id, "consents"), consent);
export const withdrawConsent = (id: string, consent: string): Promise<Answer<null>> =>
  ask("POST", of(id, `consents/${encodeURIComponent(consent)}/withdraw`));

export const readFamily = (id: string): Promise<Answer<Link[]>> => read(of(id, "family"));
export const invite = (
  id: string,
  relation: "self" | "guardian",
  proof: string,
): Promise<Answer<Invitation>> => ask("POST", of(id, "family"), { relation, proof });
export const revokeLink = (id: string, link: string): Promise<Answer<null>> =>
  ask("POST", of(id, `family/${encodeURIComponent(link)}/revoke`));

export const readLooks = (id: string, before?: number): Promise<Answer<Look[]>> =>
  read(of(id, `looks${page(before)}`));

export const breakGlass = (
  kind: IdentifierKind,
  text: string,
  category: Category,
  reason: string,
): Promise<Answer<Glass[]>> => ask("POST", "api/break-glass", { kind, text, category, reason });
export const readBrokenGlass = (reviewed: boolean): Promise<Answer<Glass[]>> =>
  read(`api/break-glass?reviewed=${reviewed}`);
export const review = (id: string, verdict: Glass["verdict"], note: string): Promise<Answer<Glass>> =>
  ask("POST", `api/break-glass/${encodeURIComponent(id)}/review`, { verdict, note });

export const readOwnConsents = (): Promise<Answer<Consent[]>> => read("api/me/consents");
export const giveConsent = (patient: string, consent: NewConsent): Promise<Answer<Consent>> =>
  ask("POST", "api/me/consents", { patient, ...consent });
export const withdrawOwnConsent = (consent: string): Promise<Answer<null>> =>
  ask("POST", `api/me/consents/${encodeURIComponent(consent)}/withdraw`);
export const readOwnFamily = (): Promise<Answer<{ given: Link[]; held: Link[] }>> => read("api/me/family");
export const inviteFamily = (patient: string, grade: Grade): Promise<Answer<Invitation>> =>
  ask("POST", "api/me/family", { patient, grade });
export const acceptInvitation = (code: string, known: string): Promise<Answer<Link>> =>
  ask("POST", "api/me/family/accept", { code, known });
export const revokeOwnLink = (link: string): Promise<Answer<null>> =>
  ask("POST", `api/me/family/${encodeURIComponent(link)}/revoke`);
export const readNotices = (after: number): Promise<Answer<Notice[]>> =>
  read(`api/me/notices?after=${after}`);
export const readOwnLooks = (before?: number): Promise<Answer<Look[]>> => read(`api/me/looks${page(before)}`);
