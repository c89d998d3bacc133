/** Edge agents and how they are let in (docs/live-api.md). */

import { ask, read, type Answer } from "./client";

export type Certificate = {
  serial: string;
  state: "valid" | "expired" | "revoked";
  occasion: "enrolment" | "renewal";
  issued_at: number;
  expires_at: number;
  revoked_at: number | null;
};
export type Agent = {
  agent: string;
  site: string;
  online: boolean;
  last_seen_at: number | null;
  certificate: Certificate | null;
};
/** Shown once. */
export type AgentInvitation = { agent: string; typed: string; qr: string; expires_at: number };

export const readAgents = (): Promise<Answer<Agent[]>> => read("api/agents");
export const inviteAgent = (agent: string, site: string): Promise<Answer<AgentInvitation>> =>
  ask("POST", "api/agents/invitations", { agent, ...(site && { site }) });
export const revokeAgent = (agent: string, reason: string): Promise<Answer<null>> =>
  ask("POST", `api/agents/${encodeURIComponent(agent)}/revoke`, { reason });
