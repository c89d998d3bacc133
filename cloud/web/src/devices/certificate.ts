/** What an agent's certificate is worth, and how long a code still opens. */

import type { Certificate } from "../api/devices";

export type CertificateState = "none" | "valid" | "soon" | "expired" | "revoked";

/** An agent renews when two thirds are over: one that is so late has not managed to. */
const LATE = 5 / 6;

export function stateOf(certificate: Certificate | null, now: number): CertificateState {
  if (certificate === null) return "none";
  if (certificate.state !== "valid") return certificate.state;
  const lateAt = certificate.issued_at + (certificate.expires_at - certificate.issued_at) * LATE;
  return now >= lateAt ? "soon" : "valid";
}

/** `14:59`, rounded up: a code that still opens never shows 0:00. */
export function countdown(untilAt: number, now: number): string {
  const seconds = Math.max(0, Math.ceil((untilAt - now) / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}
