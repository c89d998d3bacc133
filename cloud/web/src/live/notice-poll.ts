import type { Answer } from "../api/client";

/** A patient must learn of an emergency within a minute. */
export const NOTICES_EVERY_MS = 30_000;

type Numbered = { id: number };

/** Asks again and again for what is newer than what is known; an answer that does not come is asked for again. */
export class NoticePoll<Notice extends Numbered> {
  private timer: ReturnType<typeof setInterval> | null = null;
  private newest = 0;

  constructor(
    private readonly ask: (after: number) => Promise<Answer<Notice[]>>,
    private readonly tell: (fresh: Notice[]) => void,
  ) {}

  start(): void {
    if (this.timer !== null) return;
    const timer = setInterval(() => void this.look(timer), NOTICES_EVERY_MS);
    this.timer = timer;
    void this.look(timer);
  }

  stop(): void {
    if (this.timer !== null) clearInterval(this.timer);
    this.timer = null;
    this.newest = 0;
  }

  /** An answer that comes after the end, or after another one, is nobody's any more. */
  private async look(of: ReturnType<typeof setInterval>): Promise<void> {
    const after = this.newest;
    const answer = await this.ask(after);
    if (!answer.ok || this.timer !== of || this.newest !== after) return;
    this.newest = Math.max(after, ...answer.value.map((notice) => notice.id));
    if (answer.value.length > 0) this.tell(answer.value);
  }
}
