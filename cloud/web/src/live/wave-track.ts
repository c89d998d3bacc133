/**
 * The last seconds of one stream, on a grid of sample times.
 *
 * A slot is `round(time * rate)`: an absolute number, so that the place of a sample on the screen is a
 * function of when it was measured and never of when it arrived. An empty slot is NaN: a hole.
 * Storage is a fixed typed ring; nothing is allocated after construction.
 */

import type { WaveHeader } from "./wave-frame";

/** Blocks that are contiguous by their counter may disagree with the clock by this much before we re-anchor. */
const ANCHOR_TOLERANCE_S = 0.1;

export class WaveTrack {
  readonly rateHz: number;
  readonly unit: string;
  readonly capacity: number;
  /** Slot of the newest sample; -1 when nothing has arrived. */
  newestSlot = -1;
  /** Lowest slot written since the painter last took it; Infinity when none. */
  private dirtyFrom = Infinity;
  private nextCounter = -1;
  private readonly ring: Float32Array;

  constructor(rateHz: number, unit: string, seconds: number) {
    this.rateHz = rateHz;
    this.unit = unit;
    this.capacity = Math.ceil(rateHz * seconds);
    this.ring = new Float32Array(this.capacity).fill(NaN);
  }

  get newestAt(): number {
    return this.newestSlot < 0 ? NaN : this.timeOf(this.newestSlot);
  }

  timeOf(slot: number): number {
    return (slot * 1000) / this.rateHz;
  }

  slotAt(timeMs: number): number {
    return Math.floor((timeMs * this.rateHz) / 1000);
  }

  /** Physical value, or NaN where nothing was measured or the ring no longer holds it. */
  at(slot: number): number {
    if (slot > this.newestSlot || slot <= this.newestSlot - this.capacity) return NaN;
    return this.ring[slot % this.capacity] ?? NaN;
  }

  append(header: WaveHeader, samples: Int32Array): void {
    if (samples.length === 0) return;
    const start = this.startSlot(header);
    const end = start + samples.length;
    // One that fills a hole behind the head says nothing about what follows at the head.
    if (end > this.newestSlot) this.nextCounter = header.first + samples.length;
    if (end <= this.newestSlot - this.capacity + 1) return;
    this.clearUpTo(end - 1);
    const skip = Math.max(0, this.newestSlot - this.capacity + 1 - start);
    for (let i = skip; i < samples.length; i++) {
      this.ring[(start + i) % this.capacity] = (samples[i] ?? 0) * header.gain + header.offset;
    }
    this.dirtyFrom = Math.min(this.dirtyFrom, start + skip);
  }

  /** The lowest slot written since the last call: the painter goes back to it. */
  takeDirtyFrom(): number {
    const from = this.dirtyFrom;
    this.dirtyFrom = Infinity;
    return from;
  }

  private startSlot(header: WaveHeader): number {
    const byClock = Math.round((header.t0_us / 1e6) * this.rateHz);
    const byCounter = this.newestSlot + 1;
    const contiguous = this.newestSlot >= 0 && header.first === this.nextCounter;
    const drift = Math.abs(byClock - byCounter);
    return contiguous && drift <= ANCHOR_TOLERANCE_S * this.rateHz ? byCounter : byClock;
  }

  /** Moves the head; the slots between the old and the new head become holes. */
  private clearUpTo(slot: number): void {
    if (slot <= this.newestSlot) return;
    if (this.newestSlot < 0 || slot - this.newestSlot >= this.capacity) {
      this.ring.fill(NaN);
    } else {
      for (let s = this.newestSlot + 1; s <= slot; s++) this.ring[s % this.capacity] = NaN;
    }
    this.newestSlot = slot;
  }
}
