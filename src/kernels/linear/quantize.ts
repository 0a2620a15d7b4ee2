/**
 * Weights as small whole numbers: groups of GROUP inputs of one output share a scale.
 *
 *     q = round(w / s), |q| <= most,   s = max |w| / most of the group, in f16        w ≈ q · s
 *
 * `most` is 127 for int8 and 7 for int4: 8.5 and 4.5 bits a weight, scales included.
 * Symmetric: zero stays zero, and no offset has to be subtracted in the kernel.
 * Source of the scheme: llama.cpp's Q4_0 and Q8_0, which have groups of 32 too.
 */

import { fromHalf, toHalf } from '../../tensor/dtype.ts';
import { FormatError } from '../../tensor/errors.ts';

export type QuantizedDtype = 'int8' | 'int4';

/**
 * Inputs that share a scale. (ours) The matrices of the emoji model lose 0.54 % in int8 and 9.7 % in int4, root mean
 * square; with 64 they would lose 0.60 % and 10.8 % for a quarter of a bit less, with 16 0.47 % and 8.5 % for half a bit
 * more.
 */
export const GROUP = 32;

/** Inputs in a word of 8 numbers of 4 bits, or in two words of 4 numbers of 8 bits; LANES outputs stand side by side. */
const CHUNK = 8;
const GROUP_CHUNKS = GROUP / CHUNK;

export const QMAX: Readonly<Record<QuantizedDtype, number>> = { int8: 127, int4: 7 };

/** Sizes of one block of `lanes` outputs. */
export interface QuantizedShape {
  /** Chunks of 8 inputs, in whole groups. */
  readonly chunks: number;
  /** u32 words: [chunk][output][1 or 2]. */
  readonly words: number;
  /** f16 scales: [4 groups][output][4], so that a thread reads 4 at once. */
  readonly scales: number;
}

export function quantizedShape(inputs: number, lanes: number, dtype: QuantizedDtype): QuantizedShape {
  const groups = Math.ceil(inputs / GROUP);
  const chunks = groups * GROUP_CHUNKS;
  return { chunks, words: chunks * lanes * (dtype === 'int4' ? 1 : 2), scales: Math.ceil(groups / 4) * 4 * lanes };
}

/** Bytes of one block of `lanes` outputs. */
export function quantizedBytes(inputs: number, lanes: number, dtype: QuantizedDtype): number {
  const { words, scales } = quantizedShape(inputs, lanes, dtype);
  return 4 * words + 2 * scales;
}

/**
 * A block in the order of `packBlock`, [chunk of 8 inputs][output][8], as words and scales.
 *
 * Throws FormatError, naming `place`, for values that are not finite or too large for an f16 scale.
 */
export function quantizeBlock(
  block: Float32Array,
  inputs: number,
  lanes: number,
  dtype: QuantizedDtype,
  place: string,
): { readonly words: Uint32Array<ArrayBuffer>; readonly scales: Float32Array<ArrayBuffer> } {
  const shape = quantizedShape(inputs, lanes, dtype);
  const words = new Uint32Array(shape.words);
  const scales = blockScales(block, shape, lanes, QMAX[dtype], place);
  const perChunk = dtype === 'int4' ? 1 : 2;
  const most = QMAX[dtype];
  for (let at = 0; at < block.length; at += CHUNK) {
    const chunk = Math.floor(at / CHUNK / lanes);
    const lane = (at / CHUNK) % lanes;
    const scale = scales[scaleAt(Math.floor(chunk / GROUP_CHUNKS), lane, lanes)]!;
    if (scale === 0) continue;
    const word = (at / CHUNK) * perChunk;
    for (let i = 0; i < CHUNK; i++) {
      const q = Math.max(-most, Math.min(most, Math.round(block[at + i]! / scale)));
      if (dtype === 'int4') words[word]! |= (q & 15) << nibbleShift(i);
      else words[word + (i >> 2)]! |= (q & 255) << (8 * (i & 3));
    }
  }
  return { words, scales };
}

/** Input i of a chunk lies in byte i mod 4: the first four in the low halves, the last four in the high halves. */
function nibbleShift(i: number): number {
  return 8 * (i & 3) + (i < 4 ? 0 : 4);
}

function scaleAt(group: number, lane: number, lanes: number): number {
  return ((group >> 2) * lanes + lane) * 4 + (group & 3);
}

/** max |w| / most of every group, rounded to f16. */
function blockScales(
  block: Float32Array,
  shape: QuantizedShape,
  lanes: number,
  most: number,
  place: string,
): Float32Array<ArrayBuffer> {
  const largest = new Float32Array(shape.scales);
  for (let vec8 = 0; vec8 * CHUNK < block.length; vec8++) {
    const index = scaleAt(Math.floor(vec8 / lanes / GROUP_CHUNKS), vec8 % lanes, lanes);
    let size = largest[index]!;
    for (let i = 0; i < CHUNK; i++) size = Math.max(size, Math.abs(block[vec8 * CHUNK + i]!)); // NaN stays, to be found below
    largest[index] = size;
  }
  const scales = fromHalf(toHalf(largest.map((size) => size / most)));
  const wrong = scales.findIndex((scale) => !Number.isFinite(scale));
  if (wrong < 0) return scales;
  throw new FormatError(`${place}: expected finite weights up to ${most} * 65504, got ${largest[wrong]}`);
}

/** Words and scales back to values, in the order they were given. For errors and tests. */
export function dequantizeBlock(
  { words, scales }: { readonly words: Uint32Array; readonly scales: Float32Array },
  count: number,
  lanes: number,
  dtype: QuantizedDtype,
): Float32Array<ArrayBuffer> {
  const perChunk = dtype === 'int4' ? 1 : 2;
  const values = new Float32Array(count);
  for (let vec8 = 0; vec8 * CHUNK < count; vec8++) {
    const scale = scales[scaleAt(Math.floor(vec8 / lanes / GROUP_CHUNKS), vec8 % lanes, lanes)]!;
    for (let i = 0; i < CHUNK; i++) {
      const word = words[vec8 * perChunk + (dtype === 'int4' ? 0 : i >> 2)]!;
      const q = dtype === 'int4' ? (word << (28 - nibbleShift(i))) >> 28 : (word << (24 - 8 * (i & 3))) >> 24;
      values[vec8 * CHUNK + i] = q * scale;
    }
  }
  return values;
}
