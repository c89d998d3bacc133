/** Waiting times between attempts to connect: 0.5 s doubling to 5 s, each shortened by up to a quarter. */

const FIRST_MS = 500;
const LONGEST_MS = 5000;

export class BackOff {
  private readonly random: () => number;
  private attempt = 0;

  constructor(random: () => number = Math.random) {
    this.random = random;
  }

  next(): number {
    const full = Math.min(LONGEST_MS, FIRST_MS * 2 ** this.attempt);
    this.attempt += 1;
    return Math.max(FIRST_MS, full * (1 - this.random() / 4));
  }

  reset(): void {
    this.attempt = 0;
  }
}
