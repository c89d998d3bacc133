/** Bindings and the tray of unclaimed values (docs/live-api.md). */

import { ask, read, type Answer } from "./client";

/** What a person may give as the reason for which a binding ends. */
export const END_REASONS = ["returned", "replaced", "end_of_trip", "wrong_person"] as const;

export type Binding = {
  id: number;
  src: string;
  title_zh: string;
  title_en: string;
  patient: string;
  begins_at: number;
  ends_at: number | null;
  origin: string;
  origin_id: string;
  once: boolean;
  begun_by: string;
  ended_by: string | null;
  end_reason: string | null;
};
export type Correction = {
  src: string;
  begins_at: number;
  ends_at: number | null;
  from_patient: string | null;
  to_patient: string | null;
  reason: string;
  corrected_at: number;
  corrected_by: string;
};
export type BindingRecord = { bindings: Binding[]; corrections: Correction[] };
export type Device = {
  src: string;
  agent: string;
  site: string;
  driver: string;
  title_zh: string;
  title_en: string;
  location: string | null;
  bed: string;
  online: boolean;
  bound: boolean;
};
export type Unclaimed = {
  src: string;
  title_zh: string;
  title_en: string;
  from_at: number;
  to_at: number;
  cause: "unbound" | "clock";
  values: { key: string; value: number | null; unit: string }[];
  count: number;
};
type Span = { src: string; from_at: number; to_at: number; reason: string };

const of = (id: string, part: string): string => `api/people/${encodeURIComponent(id)}/${part}`;

export const readBindings = (id: string): Promise<Answer<BindingRecord>> => read(of(id, "bindings"));

export const bindScanned = (code: string, patient: string, once: boolean): Promise<Answer<Binding[]>> =>
  ask("POST", "api/bindings", { code, patient, once });

export const endBinding = (id: number, reason: string): Promise<Answer<Binding>> =>
  ask("POST", `api/bindings/${id}/end`, { reason });

export const discharge = (id: string): Promise<Answer<Binding[]>> => ask("POST", of(id, "discharge"), {});

export const readDevices = (): Promise<Answer<Device[]>> => read("api/devices");

export const readUnclaimed = (hours: number): Promise<Answer<Unclaimed[]>> =>
  read(`api/unclaimed?hours=${hours}`);

export const claim = (span: Span & { patient: string }): Promise<Answer<BindingRecord>> =>
  ask("POST", "api/unclaimed/claim", span);

export const dismiss = (span: Span): Promise<Answer<null>> => ask("POST", "api/unclaimed/dismiss", span);
