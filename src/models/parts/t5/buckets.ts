/** T5's relative position buckets. Source: transformers, modeling_t5.py, _relative_position_bucket. */

import type { T5Config } from './config.ts';

type Buckets = Pick<T5Config, 'buckets' | 'maxDistance'>;

/**
 * The bucket of a key `distance` tokens after its query (negative: before it). The upper half of the buckets is for keys
 * after the query. In each half the first half of the buckets holds one distance each, and the rest widen
 * logarithmically up to `maxDistance`. Computed in f32 like the source, because bucket borders fall on whole numbers.
 */
export function bucket(distance: number, { buckets, maxDistance }: Buckets): number {
  const side = buckets / 2;
  const first = distance > 0 ? side : 0;
  const exact = Math.floor(side / 2);
  const steps = Math.abs(distance);
  if (steps < exact) return first + steps;
  const { fround } = Math;
  const share = fround(fround(Math.log(fround(steps / exact))) / fround(Math.log(maxDistance / exact)));
  const large = exact + Math.trunc(fround(share * (side - exact)));
  return first + Math.min(large, side - 1);
}

/** `table` [buckets, heads] → bias added to the attention scores, [heads, 2 T − 1], for distances −(T − 1) to T − 1. */
export function distanceBias(
  table: Float32Array,
  tokens: number,
  config: Buckets & Pick<T5Config, 'heads'>,
): Float32Array<ArrayBuffer> {
  const { heads } = config;
  const distances = 2 * tokens - 1;
  const bias = new Float32Array(heads * distances);
  for (let i = 0; i < distances; i++) {
    const row = bucket(i - tokens + 1, config) * heads;
    for (let head = 0; head < heads; head++) bias[head * distances + i] = table[row + head]!;
  }
  return bias;
}
