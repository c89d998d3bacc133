import type { NextStep } from "../api/sign-in";
import type { Me } from "../live/messages";

export type LoginFailure = { reason: "wrong" | "tooMany" | "unreachable" | "server"; status: number };

class Session {
  me = $state.raw<Me | null>(null);
  /** What is still needed after the password. */
  next = $state.raw<NextStep | null>(null);
  /** Whether the server has answered yet who we are. */
  known = $state(false);

  async load(): Promise<void> {
    try {
      const answer = await fetch("api/me");
      this.me = answer.ok ? ((await answer.json()) as Me) : null;
    } catch {
      this.me = null;
    }
    this.known = true;
  }

  /** True when the server itself says that nobody is logged in (not when it cannot be reached). */
  async isOver(): Promise<boolean> {
    try {
      return (await fetch("api/me")).status === 401;
    } catch {
      return false;
    }
  }

  async login(name: string, password: string): Promise<LoginFailure | null> {
    let answer: Response;
    try {
      answer = await fetch("api/login", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ name, password }),
      });
    } catch {
      return { reason: "unreachable", status: 0 };
    }
    if (!answer.ok) return { reason: failureOf(answer.status), status: answer.status };
    this.take((await answer.json()) as Me | NextStep);
    return null;
  }

  /** Somebody is in, or one more step is needed. */
  take(answer: Me | NextStep): void {
    const isNext = "needs" in answer;
    this.next = isNext ? answer : null;
    this.me = isNext ? null : answer;
  }

  async logout(): Promise<void> {
    try {
      const answer = await fetch("api/logout", { method: "POST" });
      if (answer.ok || answer.status === 401) this.me = null;
    } catch {
      // Still logged in as far as the server knows: the page must not say otherwise. The red band explains.
    }
  }
}

function failureOf(status: number): LoginFailure["reason"] {
  if (status === 401 || status === 422) return "wrong";
  return status === 429 ? "tooMany" : "server";
}

export const session = new Session();
