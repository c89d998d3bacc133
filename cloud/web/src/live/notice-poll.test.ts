import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Answer } from "../api/client";
import { NoticePoll, NOTICES_EVERY_MS } from "./notice-poll";

type Numbered = { id: number };

function polled(...answers: Answer<Numbered[]>[]) {
  const asked: number[] = [];
  const told: number[][] = [];
  const ask = (after: number): Promise<Answer<Numbered[]>> => {
    asked.push(after);
    return Promise.resolve(answers.shift() ?? { ok: true, value: [] });
  };
  const poll = new NoticePoll<Numbered>(ask, (fresh) => told.push(fresh.map((one) => one.id)));
  return { poll, asked, told };
}

const given = (...ids: number[]): Answer<Numbered[]> => ({ ok: true, value: ids.map((id) => ({ id })) });

describe("what a patient must be told", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("is told at once and within a minute after it was written", async () => {
    const { poll, asked, told } = polled(given(), given(7));
    poll.start();
    await vi.advanceTimersByTimeAsync(0);
    expect(asked).toEqual([0]);
    await vi.advanceTimersByTimeAsync(NOTICES_EVERY_MS);
    expect(told).toEqual([[7]]);
    expect(NOTICES_EVERY_MS).toBeLessThan(60_000);
    poll.stop();
  });

  it("is asked for only as far as it is new, also after a refusal", async () => {
    const { poll, asked, told } = polled(given(9, 4), { ok: false, status: 0, error: "" }, given(11));
    poll.start();
    await vi.advanceTimersByTimeAsync(3 * NOTICES_EVERY_MS);
    expect(asked).toEqual([0, 9, 9, 11]);
    expect(told).toEqual([[9, 4], [11]]);
    poll.stop();
  });

  it("is not told to whoever comes after", async () => {
    const { poll, asked, told } = polled(given(9));
    poll.start();
    poll.stop();
    await vi.advanceTimersByTimeAsync(2 * NOTICES_EVERY_MS);
    expect([asked, told]).toEqual([[0], []]);
    poll.start();
    await vi.advanceTimersByTimeAsync(0);
    expect(asked).toEqual([0, 0]);
    poll.stop();
  });
});
