/**
 * The server's time, estimated from its ticks on top of the browser's monotonic clock.
 *
 * A message can only be delayed, never early, so the largest `server_at - received` of a window is the best
 * estimate. The browser's wall clock is never used: it may be wrong by hours.
 */

const WINDOW = 30;
const STEP_BACK_MS = 2000;
const STEP_BACK_SAMPLES = 3;

export class ServerClock {
  private readonly mono: () => number;
  private offsets: number[] = [];
  private lowInARow = 0;
  private best = NaN;

  constructor(mono: () => number) {
    this.mono = mono;
  }

  /** Milliseconds since the Unix epoch by the server's clock; NaN before the first tick. */
  now(): number {
    return this.mono() + this.best;
  }

  observe(serverAt: number): void {
    const offset = serverAt - this.mono();
    this.lowInARow = offset < this.best - STEP_BACK_MS ? this.lowInARow + 1 : 0;
    if (this.lowInARow >= STEP_BACK_SAMPLES) this.reset();
    this.offsets.push(offset);
    if (this.offsets.length > WINDOW) this.offsets.shift();
    this.best = Math.max(...this.offsets);
  }

  /** Forgets everything: another server, or its clock was set back. */
  reset(): void {
    this.offsets = [];
    this.lowInARow = 0;
  }
}
