/** Binary wave frames: u32 LE header length, JSON header, padding to 4, int32 LE samples. */

import { LITTLE_ENDIAN } from "./byte-order";

export interface WaveHeader {
  patient: string;
  src: string;
  stream: string;
  t0_us: number;
  rate: [number, number];
  n: number;
  first: number;
  gain: number;
  offset: number;
  unit: string;
  late: boolean;
}

export interface WaveFrame {
  header: WaveHeader;
  samples: Int32Array;
}

export class WaveFrameInvalid extends Error {}

export function parseWaveFrame(buffer: ArrayBuffer): WaveFrame {
  if (buffer.byteLength < 4) throw new WaveFrameInvalid("shorter than its length field");
  const headerLength = new DataView(buffer).getUint32(0, true);
  const headerEnd = 4 + headerLength;
  if (headerEnd > buffer.byteLength) throw new WaveFrameInvalid("header runs past the end");
  const header = parseHeader(new Uint8Array(buffer, 4, headerLength));
  const start = Math.ceil(headerEnd / 4) * 4;
  if (start + header.n * 4 !== buffer.byteLength) throw new WaveFrameInvalid("wrong number of samples");
  return { header, samples: readInt32(buffer, start, header.n) };
}

function parseHeader(bytes: Uint8Array): WaveHeader {
  let header: WaveHeader;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)) as WaveHeader;
  } catch {
    throw new WaveFrameInvalid("header is not JSON");
  }
  if (!Number.isSafeInteger(header.t0_us) || !Number.isSafeInteger(header.n) || header.n < 0) {
    throw new WaveFrameInvalid("t0_us or n is not a whole number");
  }
  const [num, den] = header.rate ?? [];
  if (!(num > 0) || !(den > 0)) throw new WaveFrameInvalid("rate is not positive");
  return header;
}

function readInt32(buffer: ArrayBuffer, start: number, n: number): Int32Array {
  if (LITTLE_ENDIAN) return new Int32Array(buffer, start, n);
  const view = new DataView(buffer, start);
  return Int32Array.from({ length: n }, (_, i) => view.getInt32(i * 4, true));
}
