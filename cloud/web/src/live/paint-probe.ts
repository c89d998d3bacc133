/**
 * How long it took from the measurement to the pixels, for the latency benchmark and the browser tests.
 * Numerics: paint time (server's clock) minus `measured_at`. Waves: the same minus the display delay.
 */

const KEPT = 5000;

interface Paint {
  what: string;
  latencyMs: number;
}

export interface PaintRecord {
  lastPaintLatencyMs: Record<string, number>;
  paints: Paint[];
}

declare global {
  interface Window {
    __qianli?: PaintRecord;
  }
}

const record: PaintRecord = { lastPaintLatencyMs: {}, paints: [] };
window.__qianli = record;

export function recordPaint(what: string, latencyMs: number): void {
  record.lastPaintLatencyMs[what] = latencyMs;
  record.paints.push({ what, latencyMs });
  if (record.paints.length > KEPT) record.paints.splice(0, KEPT / 2);
}
