import { readNotices, type Notice } from "../api/rights";
import { NoticePoll } from "../live/notice-poll";

const KEY = "qianli.notices.";

/** What this account is told of its patients, on whatever page it is. */
class Notices {
  all = $state.raw<Notice[]>([]);
  private seenUpTo = $state(0);
  private name = "";
  private readonly poll = new NoticePoll<Notice>(
    readNotices,
    (fresh) => (this.all = [...fresh, ...this.all]),
  );

  /** How many nobody has looked at in this browser. */
  readonly unseen = $derived(this.all.filter((notice) => notice.id > this.seenUpTo).length);

  start(name: string): void {
    if (this.name !== name) this.stop();
    this.name = name;
    this.seenUpTo = Number(localStorage.getItem(KEY + name) ?? 0);
    this.poll.start();
  }

  stop(): void {
    this.poll.stop();
    this.name = "";
    this.all = [];
  }

  /** The page that shows them all is open. */
  see(): void {
    const newest = Math.max(0, ...this.all.map((notice) => notice.id));
    if (newest <= this.seenUpTo) return;
    this.seenUpTo = newest;
    localStorage.setItem(KEY + this.name, String(newest));
  }
}

export const notices = new Notices();
