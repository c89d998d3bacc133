/** Who and which systems may log in (docs/live-api.md). */

import { ask, read, type Answer } from "./client";
import type { Displayed, PractitionerKind } from "./staff";

export const ACCOUNT_ROLES = ["clinician", "nurse", "administrator", "auditor"] as const;
export type AccountRole = (typeof ACCOUNT_ROLES)[number];
/** As what somebody has to work to get an account of a role; the server decides. */
export const KINDS_BY_ACCOUNT_ROLE: Record<AccountRole, readonly PractitionerKind[]> = {
  clinician: ["physician", "specialist", "family_doctor", "village_doctor"],
  nurse: ["nurse", "technician", "ambulance_crew"],
  administrator: ["administrator"],
  auditor: ["auditor"],
};
export const CLIENT_SCOPES = [
  "read_patients",
  "edit_patients",
  "read_system",
  "manage_devices",
  "read_audit",
] as const;
export type ClientScope = (typeof CLIENT_SCOPES)[number];

export type Account = Displayed & {
  name: string;
  person: string;
  role: AccountRole;
  created_at: number;
  disabled_at: number | null;
};
/** An account of the own organisation, which its administrators look after. */
export type OwnAccount = Displayed & {
  name: string;
  person: string;
  role: AccountRole;
  second_factor: boolean;
  locked_until_at: number | null;
  disabled_at: number | null;
};
export type Client = {
  id: string;
  title: string;
  scopes: ClientScope[];
  created_at: number;
  created_by: string;
  used_at: number | null;
  revoked_at: number | null;
};

const change = <T = null>(name: string, what: string): Promise<Answer<T>> =>
  ask<T>("POST", `api/accounts/${encodeURIComponent(name)}/${what}`);

export const readAccounts = (organisation: string): Promise<Answer<Account[]>> =>
  read(`api/organisations/${encodeURIComponent(organisation)}/accounts`);
export const readOwnAccounts = (): Promise<Answer<OwnAccount[]>> => read("api/accounts");
export const addAccount = (
  practitioner: string,
  name: string,
  role: AccountRole,
): Promise<Answer<{ account: Account; password: string }>> =>
  ask("POST", `api/practitioners/${encodeURIComponent(practitioner)}/accounts`, { name, role });
export const unlockAccount = (name: string): Promise<Answer<null>> => change(name, "unlock");
export const disableAccount = (name: string): Promise<Answer<null>> => change(name, "disable");
export const enableAccount = (name: string): Promise<Answer<null>> => change(name, "enable");
export const resetSecondFactor = (name: string): Promise<Answer<null>> => change(name, "reset-second-factor");
/** Ends the password and every session; the code lets its owner choose a new one. */
export const resetPassword = (name: string): Promise<Answer<{ code: string; code_ends_at: number }>> =>
  change(name, "reset-password");

export const readClients = (): Promise<Answer<Client[]>> => read("api/clients");
export const addClient = (
  title: string,
  scopes: ClientScope[],
): Promise<Answer<Client & { secret: string }>> => ask("POST", "api/clients", { title, scopes });
export const revokeClient = (id: string): Promise<Answer<null>> =>
  ask("DELETE", `api/clients/${encodeURIComponent(id)}`);
