/** Attention of one query over some slots, in f64. */

export interface Cell {
  /** [D] */
  readonly query: ArrayLike<number>;
  /** Keys and values of the slots, [S][D]. */
  readonly keys: readonly ArrayLike<number>[];
  readonly values: readonly ArrayLike<number>[];
}

/** softmax(q · k / √D) v, and the probabilities. */
export function attend({ query, keys, values }: Cell): { readonly output: number[]; readonly probabilities: number[] } {
  const dot = (key: ArrayLike<number>) => Array.from(query, (q, i) => q * key[i]!).reduce((sum, v) => sum + v, 0);
  const scores = keys.map((key) => dot(key) / Math.sqrt(query.length));
  const most = Math.max(...scores);
  const weights = scores.map((score) => Math.exp(score - most));
  const total = weights.reduce((sum, w) => sum + w, 0);
  const probabilities = weights.map((w) => w / total);
  const output = Array.from(query, (_, i) => probabilities.reduce((sum, p, s) => sum + p * values[s]![i]!, 0));
  return { output, probabilities };
}

/** Turns the pairs of a head by (cos, sin) [D / 2, 2]. */
export function rotate(head: ArrayLike<number>, angles: ArrayLike<number>, pairing: 'adjacent' | 'halves'): number[] {
  const half = head.length / 2;
  const turned = Array.from(head);
  for (let p = 0; p < half; p++) {
    const [i, j] = pairing === 'adjacent' ? [2 * p, 2 * p + 1] : [p, p + half];
    const [cos, sin] = [angles[2 * p]!, angles[2 * p + 1]!];
    turned[i] = head[i]! * cos - head[j]! * sin;
    turned[j] = head[j]! * cos + head[i]! * sin;
  }
  return turned;
}
