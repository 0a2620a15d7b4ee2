/** Key and value of a slot, from the memory of a store. */

import type { KvDtype } from '../../src/cache/policy.ts';

/** As `SlotBanks.contents` gives them, of a layer; in int8 their words. */
export interface Contents {
  readonly keys: Float32Array | Uint32Array;
  readonly values: Float32Array | Uint32Array;
}

/** [2 · D], a key and its value. */
export function keyAndValue(
  { keys, values }: Contents,
  { headDim, dtype }: { readonly headDim: number; readonly dtype: KvDtype },
  { cell, slot, slots }: { readonly cell: number; readonly slot: number; readonly slots: number },
): Float32Array<ArrayBuffer> {
  const chunks = headDim / 4;
  const first = cell * slots + slot;
  const both = new Float32Array(2 * headDim);
  if (dtype !== 'int8') {
    for (let i = 0; i < headDim; i++) both[i] = keys[((cell * chunks + (i >> 2)) * slots + slot) * 4 + (i % 4)]!;
    both.set(values.subarray(first * headDim, (first + 1) * headDim), headDim);
    return both;
  }
  const keyWord = (chunk: number) => keys[(cell * (chunks + 1) + chunk) * slots + slot]!;
  const scales = new Float32Array(Uint32Array.of(keyWord(chunks) << 16, keyWord(chunks) & 0xffff0000).buffer);
  const byte = (word: number, i: number) => (word << (24 - 8 * (i % 4))) >> 24;
  for (let i = 0; i < headDim; i++) {
    both[i] = byte(keyWord(i >> 2), i) * scales[0]!;
    both[headDim + i] = byte(values[first * chunks + (i >> 2)]!, i) * scales[1]!;
  }
  return both;
}

/**
 * How far an int8 is from what it was made of, at most: half a scale. The scale is max |x| / 127 rounded up to 8 bits, so
 * less than 1 + 2^-7 times that, and x over the scale is rounded to f32 on the way.
 */
export function halfScale(values: ArrayLike<number>): number {
  return (Math.max(...Array.from(values, Math.abs)) / 254) * (1 + 2 ** -7) * (1 + 2 ** -14);
}
