/** `GET /api/audit` (docs/live-api.md). */

import { read, type Answer } from "./client";

export type AuditEntry = {
  sequence: number;
  at: number;
  person: string;
  role: string;
  organisation: string;
  purpose: string;
  basis: string;
  action: string;
  target_kind: string;
  target: string;
  outcome: string;
  origin: string;
};
export type AuditQuestion = {
  person?: string;
  patient?: string;
  outcome?: string;
  from_at?: number;
  to_at?: number;
};
export type FoundEntries = { entries: AuditEntry[]; next_before: number | null };

export function searchAudit(question: AuditQuestion, before?: number): Promise<Answer<FoundEntries>> {
  const asked = { ...question, ...(before !== undefined && { before }) };
  const filled = Object.entries(asked).filter(([, value]) => value !== "" && value !== undefined);
  return read(`api/audit?${new URLSearchParams(filled.map(([name, value]) => [name, String(value)]))}`);
}
