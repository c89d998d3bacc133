/** How old a number is, and whether it may still look alive. All times are of the server's clock. */

export interface AgeState {
  ageMs: number;
  /** Older than twice its cadence, or a spot measurement: the age is written beside the number. */
  showAge: boolean;
  /** Too old to be read as the present: struck through and grey. */
  stale: boolean;
  spot: boolean;
}

const SPOT_STALE_MS = 4 * 3600 * 1000;
const STALE_FLOOR_MS = 5000;

/**
 * When a value was measured, as far as can be: nothing is measured after it arrived. A device clock that runs
 * ahead would else keep a number fresh for minutes after its device has died.
 */
export function credibleAt(value: { measured_at: number; arrived_at: number }): number {
  return Math.min(value.measured_at, value.arrived_at);
}

/** `cadenceS` is undefined for a spot measurement. A NaN clock (never connected) makes everything stale. */
export function ageState(measuredAt: number, cadenceS: number | undefined, serverNow: number): AgeState {
  const ageMs = Math.max(0, serverNow - measuredAt);
  if (cadenceS === undefined || !(cadenceS > 0)) {
    return { ageMs, showAge: true, stale: !(ageMs <= SPOT_STALE_MS), spot: true };
  }
  const cadenceMs = cadenceS * 1000;
  return {
    ageMs,
    showAge: !(ageMs <= 2 * cadenceMs),
    stale: !(ageMs <= Math.max(STALE_FLOOR_MS, 3 * cadenceMs)),
    spot: false,
  };
}
