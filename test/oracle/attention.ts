/** Attention of one query over some slots, in f64, and how far a computation in f32 may be from it. */

export interface Cell {
  /** [D] */
  readonly query: ArrayLike<number>;
  /** Keys and values of the slots, [S][D]. */
  readonly keys: readonly ArrayLike<number>[];
  readonly values: readonly ArrayLike<number>[];
  /** How many tokens each slot stands for; default 1. */
  readonly counts?: readonly number[];
}

export interface Attended {
  /** softmax(q · k / √D + log n) v, [D]. */
  readonly output: readonly number[];
  /** [S] */
  readonly probabilities: readonly number[];
  /** First-order bounds on the errors of both in f32, the query's rotation included. */
  readonly outputErrors: readonly number[];
  readonly probabilityErrors: readonly number[];
}

/** Half the distance from 1 to the next f32: what one rounding may do to a number of that size. */
const ROUNDING = 2 ** -24;

/**
 * softmax(q · k / √D + log n) v, the probabilities, and their error bounds.
 *
 * The exponent x of a slot comes from D products and sums, a rotation (3 roundings of a number no larger than √2 max |q|),
 * and a division by √D: wrong by (D + 8) · ROUNDING · √2 max |q| · Σ |k| / √D. WGSL allows exp(x) 3 + 2 |x| units in the
 * last place, and x − max x is rounded once more. log n is allowed 3 units in the last place, or 2^-21 near 1, and adding it
 * rounds once. Sums over S slots and one division add S + 4 roundings.
 */
export function attend({ query, keys, values, counts }: Cell): Attended {
  const size = query.length;
  const root = Math.sqrt(size);
  const largest = Math.SQRT2 * Math.max(...Array.from(query, Math.abs));
  const bonus = (s: number) => Math.log(counts?.[s] ?? 1);
  const scores = keys.map((key, s) => sum(key, (k, i) => k * query[i]!) / root + bonus(s));
  const most = Math.max(...scores);
  const weights = scores.map((score) => Math.exp(score - most));
  const total = sum(weights, (w) => w);
  const probabilities = weights.map((w) => w / total);
  const relative = keys.map(
    (key, s) =>
      ((size + 8) * ROUNDING * largest * sum(key, Math.abs)) / root +
      2 * ROUNDING * (3 + 3 * (most - scores[s]!)) +
      (counts === undefined || counts[s] === undefined
        ? 0
        : 2 ** -21 + ROUNDING * (6 * bonus(s) + Math.abs(scores[s]!))),
  );
  const shared = sum(probabilities, (p, s) => p * relative[s]!) + (keys.length + 4) * ROUNDING;
  const probabilityErrors = probabilities.map((p, s) => p * (relative[s]! + shared) + 2 ** -120);
  const channel = (terms: readonly number[], of: (value: number) => number) =>
    Array.from(query, (_, i) => sum(terms, (term, s) => term * of(values[s]![i]!)));
  const output = channel(probabilities, (value) => value);
  const summing = channel(probabilities, (value) => (keys.length + 4) * ROUNDING * Math.abs(value));
  const outputErrors = channel(probabilityErrors, Math.abs).map((error, i) => error + summing[i]!);
  return { output, probabilities, outputErrors, probabilityErrors };
}

/** Turns the pairs of a head by (cos, sin) [D / 2, 2]. */
export function rotate(
  head: ArrayLike<number>,
  angles: ArrayLike<number>,
  pairing: 'interleaved' | 'half-split',
): number[] {
  const half = head.length / 2;
  const turned = Array.from(head);
  for (let p = 0; p < half; p++) {
    const [i, j] = pairing === 'interleaved' ? [2 * p, 2 * p + 1] : [p, p + half];
    const [cos, sin] = [angles[2 * p]!, angles[2 * p + 1]!];
    turned[i] = head[i]! * cos - head[j]! * sin;
    turned[j] = head[j]! * cos + head[i]! * sin;
  }
  return turned;
}

function sum(terms: ArrayLike<number>, of: (term: number, i: number) => number): number {
  return Array.from(terms).reduce((total, term, i) => total + of(term, i), 0);
}
