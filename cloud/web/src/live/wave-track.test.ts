import { describe, expect, it } from "vitest";
import type { WaveHeader } from "./wave-frame";
import { WaveTrack } from "./wave-track";

const T0_S = 1_790_000_000;
const RATE = 100;

function block(startS: number, first: number): WaveHeader {
  return {
    patient: "p",
    src: "s",
    stream: "ecg_i",
    t0_us: Math.round((T0_S + startS) * 1e6),
    rate: [RATE, 1],
    n: 0,
    first,
    gain: 0.5,
    offset: 1,
    unit: "mV",
    late: false,
  };
}

const track = () => new WaveTrack(RATE, "mV", 4);
const ramp = (n: number, from = 0) => Int32Array.from({ length: n }, (_, i) => from + i);
const slotOf = (seconds: number) => Math.round((T0_S + seconds) * RATE);

describe("a wave track", () => {
  it("keeps a sample at the slot of its own time, in physical units", () => {
    const t = track();
    t.append(block(0, 0), ramp(10));
    expect(t.at(slotOf(0.04))).toBe(4 * 0.5 + 1);
    expect(t.newestAt).toBe((T0_S + 0.09) * 1000);
  });

  it("has NaN where nothing was measured, in a hole and outside", () => {
    const t = track();
    t.append(block(0, 0), ramp(10));
    t.append(block(1, 100), ramp(10));
    expect(t.at(slotOf(0.5))).toBeNaN();
    expect(t.at(slotOf(1.05))).not.toBeNaN();
    expect(t.at(slotOf(2))).toBeNaN();
    expect(t.at(slotOf(-1))).toBeNaN();
  });

  it("joins blocks that are contiguous by counter when their clocks jitter", () => {
    const t = track();
    t.append(block(0, 0), ramp(10));
    t.append(block(0.13, 10), ramp(10));
    expect(t.at(slotOf(0.1))).toBe(1);
    expect(t.newestSlot).toBe(slotOf(0.19));
  });

  it("fills a hole behind its head and goes on at the head as if nothing had been", () => {
    const t = track();
    t.append(block(0, 0), ramp(10));
    t.append(block(0.2, 20), ramp(10));
    t.append(block(0.1, 10), ramp(10, 100));
    t.append(block(0.34, 30), ramp(10));
    expect(t.at(slotOf(0.1))).toBe(100 * 0.5 + 1);
    expect(t.newestSlot).toBe(slotOf(0.39));
  });

  it("believes the clock when a contiguous counter is too far from it", () => {
    const t = track();
    t.append(block(0, 0), ramp(10));
    t.append(block(0.5, 10), ramp(10));
    expect(t.at(slotOf(0.3))).toBeNaN();
    expect(t.newestSlot).toBe(slotOf(0.59));
  });

  it("holds only its last window after a long sleep", () => {
    const t = track();
    t.append(block(0, 0), ramp(400));
    t.append(block(60, 6000), ramp(10));
    expect(t.at(slotOf(3.9))).toBeNaN();
    expect(t.at(slotOf(59))).toBeNaN();
    expect(t.at(slotOf(60))).toBe(1);
  });

  it("keeps the newest part of a block that is longer than itself", () => {
    const t = track();
    t.append(block(0, 0), ramp(1000));
    expect(t.at(t.newestSlot)).toBe(999 * 0.5 + 1);
    expect(t.at(t.newestSlot - 399)).toBe(600 * 0.5 + 1);
    expect(t.at(t.newestSlot - 400)).toBeNaN();
  });

  it("tells the painter once how far back an overdue block reaches", () => {
    const t = track();
    t.append(block(1, 100), ramp(10));
    t.takeDirtyFrom();
    t.append(block(0.5, 50), ramp(10));
    expect(t.takeDirtyFrom()).toBe(slotOf(0.5));
    expect(t.takeDirtyFrom()).toBe(Infinity);
    expect(t.newestSlot).toBe(slotOf(1.09));
  });

  it("ignores a block that is older than everything it keeps", () => {
    const t = track();
    t.append(block(60, 6000), ramp(10));
    t.takeDirtyFrom();
    t.append(block(0, 0), ramp(10));
    expect(t.takeDirtyFrom()).toBe(Infinity);
  });
});
