import { describe, expect, it } from "vitest";
import { parseWaveFrame, WaveFrameInvalid, type WaveHeader } from "./wave-frame";

const HEADER: WaveHeader = {
  patient: "p1",
  src: "s1",
  stream: "ecg_i",
  t0_us: 1_790_000_000_123_456,
  rate: [130, 1],
  n: 3,
  first: 65,
  gain: 0.001,
  offset: 0,
  unit: "mV",
  late: false,
};

function frameOf(header: unknown, samples: number[]): ArrayBuffer {
  const text = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const start = Math.ceil((4 + text.length) / 4) * 4;
  const buffer = new ArrayBuffer(start + samples.length * 4);
  const view = new DataView(buffer);
  view.setUint32(0, text.length, true);
  new Uint8Array(buffer, 4).set(text);
  samples.forEach((sample, i) => view.setInt32(start + i * 4, sample, true));
  return buffer;
}

describe("a wave frame", () => {
  it("gives its header and its little-endian samples", () => {
    const frame = parseWaveFrame(frameOf(HEADER, [1, -2, 2_000_000_000]));
    expect(frame.header).toEqual(HEADER);
    expect([...frame.samples]).toEqual([1, -2, 2_000_000_000]);
  });

  it.each([0, 1, 2, 3])("is read whatever its padding is (%i more characters)", (more) => {
    const header = { ...HEADER, src: "s".repeat(1 + more) };
    expect([...parseWaveFrame(frameOf(header, [7, 8, 9])).samples]).toEqual([7, 8, 9]);
  });

  it.each([
    ["empty", new ArrayBuffer(0)],
    ["header longer than the frame", new Uint8Array([255, 0, 0, 0, 123]).buffer],
    ["header that is not JSON", frameOf("{not json", [])],
    ["fewer samples than stated", frameOf(HEADER, [1, 2])],
    ["more samples than stated", frameOf(HEADER, [1, 2, 3, 4])],
    ["fractional time", frameOf({ ...HEADER, t0_us: 1.5 }, [1, 2, 3])],
    ["rate of zero", frameOf({ ...HEADER, rate: [0, 1] }, [1, 2, 3])],
    ["no rate", frameOf({ ...HEADER, rate: undefined }, [1, 2, 3])],
  ])("is refused when it is %s", (_name, buffer) => {
    expect(() => parseWaveFrame(buffer as ArrayBuffer)).toThrow(WaveFrameInvalid);
  });
});
