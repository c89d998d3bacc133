/** Vertical scale of a lane: physical value → fraction of its height. */

import type { WaveTrack } from "../live/wave-track";

/** Heights of a lane in mV; the first one that holds the signal is used, and the bar shows what 1 mV is. */
const ECG_SPANS_MV = [3, 5, 8, 12, 20, 40];
const TO_MV: Record<string, number> = { mV: 1, uV: 1e-3, µV: 1e-3, V: 1000, nV: 1e-6 };
const ROOM = 1.15;

export interface Scale {
  centre: number;
  span: number;
}

export interface Extent {
  low: number;
  high: number;
}

/** Lowest and highest value between two slots; reuses `into`. False when nothing was measured there. */
export function extentOf(track: WaveTrack, fromSlot: number, toSlot: number, into: Extent): boolean {
  into.low = Infinity;
  into.high = -Infinity;
  for (let slot = fromSlot; slot <= toSlot; slot++) {
    const value = track.at(slot);
    if (value < into.low) into.low = value;
    if (value > into.high) into.high = value;
  }
  return into.low <= into.high;
}

/** How many units of the stream make one millivolt; an unknown unit counts as mV. */
export const unitsPerMv = (unit: string): number => 1 / (TO_MV[unit] ?? 1);

/** Steps only: the same height of a QRS means the same voltage until the signal leaves the lane. */
export function ecgScale(extent: Extent, unit: string): Scale {
  const perMv = unitsPerMv(unit);
  const needed = ((extent.high - extent.low) * ROOM) / perMv;
  const spanMv = ECG_SPANS_MV.find((span) => span >= needed) ?? Math.ceil(needed);
  return { centre: (extent.low + extent.high) / 2, span: spanMv * perMv };
}

/** The pleth has no unit: it always fills the lane. */
export function plethScale(extent: Extent): Scale {
  const height = extent.high - extent.low || 1;
  return { centre: (extent.low + extent.high) / 2, span: height * ROOM };
}

/** Whether the values no longer fit, or use so little of the scale that a fresh one is needed. */
export function needsRescale(scale: Scale, extent: Extent, fresh: Scale): boolean {
  const leaves = extent.high > scale.centre + scale.span / 2 || extent.low < scale.centre - scale.span / 2;
  const ratio = fresh.span / scale.span;
  return leaves || ratio < 0.6 || ratio > 1.67;
}
