/** Attention of an encoder in f64, and how far a computation in f32 may be from it. */

export interface EncoderCase {
  readonly rows: number;
  readonly tokens: number;
  readonly heads: number;
  readonly headDim: number;
  /** [R · T, 3 · H · D] */
  readonly qkv: Float32Array;
  /** [H, 2 T − 1] */
  readonly bias: Float32Array;
  /** [R] */
  readonly leftPadding: readonly number[];
}

/** [R · T, H · D]; rows of padding are zeros. */
export function encoderAttentionOracle(given: EncoderCase): Float64Array {
  const { rows, tokens, heads, headDim, qkv, bias, leftPadding } = given;
  const inner = heads * headDim;
  const y = new Float64Array(rows * tokens * inner);
  const part = (row: number, token: number, which: number, head: number) =>
    qkv.subarray(((row * tokens + token) * 3 + which) * inner + head * headDim).subarray(0, headDim);
  for (let row = 0; row < rows; row++) {
    for (let head = 0; head < heads; head++) {
      for (let query = leftPadding[row]!; query < tokens; query++) {
        const q = part(row, query, 0, head);
        const keys = Array.from({ length: tokens - leftPadding[row]! }, (_, i) => leftPadding[row]! + i);
        const scores = keys.map(
          (key) =>
            part(row, key, 1, head).reduce((sum, k, c) => sum + k * q[c]!, 0) +
            bias[head * (2 * tokens - 1) + key - query + tokens - 1]!,
        );
        const most = Math.max(...scores);
        const weights = scores.map((score) => Math.exp(score - most));
        const total = weights.reduce((sum, weight) => sum + weight, 0);
        for (const [i, key] of keys.entries()) {
          const v = part(row, key, 2, head);
          for (let c = 0; c < headDim; c++)
            y[(row * tokens + query) * inner + head * headDim + c]! += (weights[i]! / total) * v[c]!;
        }
      }
    }
  }
  return y;
}

/**
 * Bound on the error of one output whose q, k, v and bias are within [−1, 1]. A score of at most D + 1 is the sum of D + 1
 * products: wrong by (D + 1)² · 2^-24. WGSL allows exp(x) 3 + 2 |x| units in the last place, and |x| eˣ is largest, 1, at
 * −1. Scaling over T keys rounds three times a key. Weights are at most 1 and so are values: what is wrong in each part of
 * their mean, numerator and denominator, comes twice.
 */
export function encoderAttentionError({ tokens, headDim }: Pick<EncoderCase, 'tokens' | 'headDim'>): number {
  const rounding = 2 ** -24;
  const score = (headDim + 1) ** 2 * rounding;
  return 2 * (2 * score + 2 * 5 * rounding + 3 * tokens * rounding);
}
