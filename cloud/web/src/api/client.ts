/** Requests to the server. A refusal is a value: pages show it, nothing is thrown. */

import { session } from "../state/session.svelte";
import { stepUp } from "../state/step-up.svelte";

export type Refusal = { ok: false; status: number; error: string };
export type Answer<T> = { ok: true; value: T } | Refusal;

type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
type ErrorBody = { error?: string; needs?: string };

/** Status of a request that no server answered. */
export const UNREACHABLE = 0;

const NOT_LOGGED_IN = "log in first";

/** Asks; where the server wants a fresh proof of who we are, the person gives it and the question is repeated. */
export async function ask<T>(method: Method, path: string, body?: unknown): Promise<Answer<T>> {
  const first = await send<T>(method, path, body);
  if (first.ok || first.needs !== "step_up" || !(await stepUp.ask())) return first;
  return send<T>(method, path, body);
}

export const read = <T>(path: string): Promise<Answer<T>> => ask<T>("GET", path);

async function send<T>(
  method: Method,
  path: string,
  body?: unknown,
): Promise<Answer<T> & { needs?: string }> {
  let answer: Response;
  try {
    answer = await fetch(path, {
      method,
      ...(body === undefined
        ? {}
        : { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
    });
  } catch {
    return { ok: false, status: UNREACHABLE, error: "" };
  }
  if (answer.ok) return { ok: true, value: (answer.status === 204 ? null : await answer.json()) as T };
  const said = (await answer.json().catch(() => ({}))) as ErrorBody;
  // A wrong code or password is a 401 too, and ends nothing.
  if (answer.status === 401 && said.error === NOT_LOGGED_IN) session.me = null;
  return {
    ok: false,
    status: answer.status,
    error: said.error ?? "",
    ...(said.needs && { needs: said.needs }),
  };
}
