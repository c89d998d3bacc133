/** Signing in, second factors, sessions (docs/live-api.md). */

import type { Me } from "../live/messages";
import { ask, read, type Answer } from "./client";

export type ProofKind = "totp" | "recovery_code" | "passkey" | "password";
export type NextStep = { needs: "second_factor" | "enrolment"; methods: ProofKind[] };
export type Provider = { key: string; title_zh: string; title_en: string };
export type Passkey = {
  id: string;
  title: string;
  created_at: number;
  used_at: number | null;
  suspended: boolean;
};
export type Proofs = {
  policy: string;
  totp: boolean;
  passkeys: Passkey[];
  recovery_codes_left: number;
  step_up_methods: ProofKind[];
};
export type LoginSession = {
  id: string;
  device: string;
  created_at: number;
  seen_at: number;
  expires_at: number;
  this: boolean;
};
type Codes = { recovery_codes: string[] };
export type Proof = Partial<Record<Exclude<ProofKind, "passkey">, string>> & { passkey?: unknown };

export const readProviders = (): Promise<Answer<Provider[]>> => read("api/oidc");
export const giveSecondFactor = (proof: Proof): Promise<Answer<Me | NextStep>> =>
  ask("POST", "api/login/second-factor", proof);
export const giveStepUp = (proof: Proof): Promise<Answer<{ until_at: number }>> =>
  ask("POST", "api/step-up", proof);

export type Applicant = Record<"code" | "known" | "display" | "name" | "password", string>;

export const join = (applicant: Applicant): Promise<Answer<Me | NextStep>> =>
  ask("POST", "api/join", applicant);
/** The new password; every other session of the account ends. */
export const changePassword = (old: string, fresh: string): Promise<Answer<null>> =>
  ask("POST", "api/password", { old, new: fresh });
export const choosePassword = (name: string, code: string, fresh: string): Promise<Answer<null>> =>
  ask("POST", "api/password/reset", { name, code, new: fresh });

export const readProofs = (): Promise<Answer<Proofs>> => read("api/second-factor");
export const beginTotp = (): Promise<Answer<{ secret: string; uri: string }>> =>
  ask("POST", "api/second-factor/totp");
export const confirmTotp = (code: string): Promise<Answer<Codes>> =>
  ask("POST", "api/second-factor/totp/confirm", { code });
export const removeTotp = (): Promise<Answer<null>> => ask("DELETE", "api/second-factor/totp");
export const removePasskey = (id: string): Promise<Answer<null>> =>
  ask("DELETE", `api/second-factor/passkeys/${encodeURIComponent(id)}`);
export const renewCodes = (): Promise<Answer<Codes>> => ask("POST", "api/second-factor/recovery-codes");

export const readSessions = (): Promise<Answer<LoginSession[]>> => read("api/sessions");
export const revokeSession = (id: string): Promise<Answer<null>> =>
  ask("DELETE", `api/sessions/${encodeURIComponent(id)}`);
export const revokeOthers = (): Promise<Answer<{ ended: number }>> =>
  ask("POST", "api/sessions/revoke-others");

/** Makes a passkey on this machine. */
export async function addPasskey(title: string): Promise<Answer<Codes>> {
  const options = await ask<PublicKeyCredentialCreationOptionsJSON>(
    "POST",
    "api/second-factor/passkeys/options",
  );
  if (!options.ok) return options;
  const passkey = await navigator.credentials.create({
    publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options.value),
  });
  return ask("POST", "api/second-factor/passkeys", { title, passkey: jsonOf(passkey) });
}

/** Proves with a passkey what `path` asks for; the answer is the body of a proof. */
export async function provePasskey(path: "api/login" | "api/step-up"): Promise<Answer<Proof>> {
  const options = await ask<PublicKeyCredentialRequestOptionsJSON>("POST", `${path}/passkey-options`);
  if (!options.ok) return options;
  const passkey = await navigator.credentials.get({
    publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options.value),
  });
  return { ok: true, value: { passkey: jsonOf(passkey) } };
}

function jsonOf(credential: Credential | null): unknown {
  return credential instanceof PublicKeyCredential ? credential.toJSON() : null;
}
