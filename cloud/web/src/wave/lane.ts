/**
 * One sweep: draws only what is new since the last frame, and a gap ahead of it.
 *
 * The horizontal place is a function of the sample's time. Where nothing was measured the lane is hatched;
 * the head goes on, so that an old wave never looks live.
 */

import type { WaveTrack } from "../live/wave-track";
import { ecgScale, extentOf, needsRescale, plethScale, type Extent, type Scale } from "./scale";

export interface LaneStyle {
  stroke: string;
  hatch: CanvasPattern | null;
  lineWidth: number;
}

export interface LaneBox {
  left: number;
  width: number;
  top: number;
  height: number;
}

/** Empty slots that are bridged by the line: rounding of block times, not a hole. */
const BRIDGED_SLOTS = 2;
/** Half a line sticks out where the trace touches the edge of its lane. */
const LINE_ROOM = 2;
const ERASER_MS = 250;
const RESCALE_EVERY_MS = 1000;

export class Lane {
  box: LaneBox = { left: 0, width: 0, top: 0, height: 0 };
  scale: Scale | null = null;
  /** Time of the newest sample that is on the screen, and how late it came there. */
  paintedSampleAt = NaN;
  paintedLatencyMs = NaN;
  private readonly family: "ecg" | "pleth";
  private readonly windowMs: number;
  private readonly extent: Extent = { low: 0, high: 0 };
  private paintedTo = NaN;
  private readonly watchedSince: () => number;
  private scaledAt = NaN;

  /** `watchedSince`: from when on the page would have every sample; before it, emptiness means nothing. */
  constructor(family: "ecg" | "pleth", windowMs: number, watchedSince: () => number) {
    this.watchedSince = watchedSince;
    this.family = family;
    this.windowMs = windowMs;
  }

  /** Everything is drawn anew at the next frame. */
  invalidate(): void {
    this.paintedTo = NaN;
  }

  /** Returns true when the scale changed (the caller redraws its bar). */
  paint(ctx: CanvasRenderingContext2D, track: WaveTrack, to: number, style: LaneStyle): boolean {
    const rescaled = this.rescale(track, to);
    const from = this.paintFrom(track, to);
    if (from >= to) return rescaled;
    this.erase(ctx, from, Math.min(to + ERASER_MS, from + this.windowMs));
    this.draw(ctx, track, from, to, style);
    this.paintedTo = to;
    return rescaled;
  }

  private paintFrom(track: WaveTrack, to: number): number {
    const oldest = to - this.windowMs + ERASER_MS;
    const dirty = track.takeDirtyFrom();
    let from = this.paintedTo;
    if (Number.isFinite(dirty)) from = Math.min(from, track.timeOf(dirty - 1));
    // A first paint, a return from a hidden tab, or a clock that jumped back: the whole window.
    if (!(from > oldest) || from > to + 1000) return oldest;
    return from;
  }

  private rescale(track: WaveTrack, to: number): boolean {
    if (Math.abs(to - this.scaledAt) < RESCALE_EVERY_MS) return false;
    if (!extentOf(track, track.slotAt(to - this.windowMs), track.slotAt(to), this.extent)) return false;
    this.scaledAt = to;
    const fresh = this.family === "ecg" ? ecgScale(this.extent, track.unit) : plethScale(this.extent);
    if (this.scale && !needsRescale(this.scale, this.extent, fresh)) return false;
    this.scale = fresh;
    this.invalidate();
    return true;
  }

  private xOf(time: number): number {
    return this.box.left + ((time % this.windowMs) / this.windowMs) * this.box.width;
  }

  private yOf(value: number): number {
    const scale = this.scale as Scale;
    const y = this.box.top + this.box.height * (0.5 - (value - scale.centre) / scale.span);
    return Math.max(this.box.top, Math.min(this.box.top + this.box.height, y));
  }

  private erase(ctx: CanvasRenderingContext2D, from: number, to: number): void {
    this.band(ctx, from, to, null);
  }

  /** Clears or hatches an interval of time: one rectangle, or two where it goes round the right edge. */
  private band(ctx: CanvasRenderingContext2D, from: number, to: number, hatch: CanvasPattern | null): void {
    const { left, width } = this.box;
    const x0 = this.xOf(from);
    const x1 = this.xOf(to);
    if (to - from >= this.windowMs) this.fill(ctx, left, width, hatch);
    else if (x1 >= x0) this.fill(ctx, x0, x1 - x0, hatch);
    else {
      this.fill(ctx, x0, left + width - x0, hatch);
      this.fill(ctx, left, x1 - left, hatch);
    }
  }

  private fill(ctx: CanvasRenderingContext2D, x: number, width: number, hatch: CanvasPattern | null): void {
    if (hatch === null) {
      const left = x <= this.box.left ? x - LINE_ROOM : x;
      ctx.clearRect(left, this.box.top - LINE_ROOM, x + width - left, this.box.height + 2 * LINE_ROOM);
      return;
    }
    ctx.fillStyle = hatch;
    ctx.fillRect(x, this.box.top, width, this.box.height);
  }

  private draw(
    ctx: CanvasRenderingContext2D,
    track: WaveTrack,
    from: number,
    to: number,
    style: LaneStyle,
  ): void {
    const first = track.slotAt(from);
    const last = track.slotAt(to);
    const before = this.lastMeasured(track, first);
    ctx.beginPath();
    const newest = this.trace(ctx, track, first, last);
    ctx.strokeStyle = style.stroke;
    ctx.lineWidth = style.lineWidth;
    ctx.stroke();
    this.hatchHoles(ctx, track, from, to, style);
    if (newest > before) this.note(track, newest, to);
  }

  /** Puts the line through every measured slot on the path; returns the last one, or -1. */
  private trace(ctx: CanvasRenderingContext2D, track: WaveTrack, first: number, last: number): number {
    let previous = this.lastMeasured(track, first);
    let x = 0;
    if (previous >= 0) {
      x = this.xOf(track.timeOf(previous));
      ctx.moveTo(x, this.yOf(track.at(previous)));
    }
    for (let slot = first + 1; slot <= last; slot++) {
      const value = track.at(slot);
      if (Number.isNaN(value)) continue;
      const nextX = this.xOf(track.timeOf(slot));
      const joined = previous >= 0 && slot - previous <= BRIDGED_SLOTS + 1 && nextX >= x;
      if (joined) ctx.lineTo(nextX, this.yOf(value));
      else ctx.moveTo(nextX, this.yOf(value));
      previous = slot;
      x = nextX;
    }
    return previous;
  }

  private hatchHoles(
    ctx: CanvasRenderingContext2D,
    track: WaveTrack,
    from: number,
    to: number,
    style: LaneStyle,
  ): void {
    const last = track.slotAt(to);
    let previous = this.lastMeasured(track, track.slotAt(from));
    for (let slot = track.slotAt(from) + 1; slot <= last; slot++) {
      if (Number.isNaN(track.at(slot))) continue;
      if (slot - previous > BRIDGED_SLOTS + 1) this.hatch(ctx, track, previous, slot, from, style);
      previous = slot;
    }
    if (last - previous > BRIDGED_SLOTS) this.hatch(ctx, track, previous, last + 1, from, style);
  }

  /** The newest measured slot at or just before `slot`; -1 when there is a hole. */
  private lastMeasured(track: WaveTrack, slot: number): number {
    for (let s = slot; s >= slot - BRIDGED_SLOTS; s--) if (!Number.isNaN(track.at(s))) return s;
    return -1;
  }

  /** Hatches between two measured slots, as far as this frame may paint and as long as we have been watching. */
  private hatch(
    ctx: CanvasRenderingContext2D,
    track: WaveTrack,
    after: number,
    until: number,
    from: number,
    style: LaneStyle,
  ): void {
    const start = Math.max(after < 0 ? from : track.timeOf(after), from, this.watchedSince());
    const end = track.timeOf(until);
    if (end <= start || !style.hatch) return;
    this.band(ctx, start, end, style.hatch);
  }

  private note(track: WaveTrack, slot: number, to: number): void {
    const at = track.timeOf(slot);
    if (at > this.paintedSampleAt || Number.isNaN(this.paintedSampleAt)) {
      this.paintedSampleAt = at;
      this.paintedLatencyMs = to - at;
    }
  }
}
