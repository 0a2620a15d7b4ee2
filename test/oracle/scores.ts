/** What the policies choose by, in plain TypeScript, over all candidates of one (layer, row, KV head). */

import type { PolicyName } from '../../src/cache/policies/index.ts';
import { philox } from './sample.ts';

export interface ScoredCandidate {
  /** Token of the image. */
  readonly position: number;
  readonly attention: number;
  /** As stored. */
  readonly key: ArrayLike<number>;
}

export interface ScoredCell {
  readonly layer: number;
  readonly head: number;
  /** Last token of the line just finished. */
  readonly token: number;
}

type Scores = (candidates: readonly ScoredCandidate[], cell: ScoredCell) => number[];

const byAttention: Scores = (candidates) => candidates.map(({ attention }) => attention);
const byAge: Scores = (candidates) => candidates.map(({ position }) => position);

/** The largest attention to a candidate at most 2 tokens away. */
const pooled: Scores = (candidates) =>
  candidates.map(({ position }) =>
    Math.max(
      0,
      ...candidates.filter((other) => Math.abs(other.position - position) <= 2).map((other) => other.attention),
    ),
  );

const random: Scores = (candidates, { layer, head, token }) =>
  candidates.map(({ position }) => philox([position, layer, head, 0], [token, 0])[0]! >>> 8);

/** 0.1 · share of attention − 0.9 · (Σ of cosines to the other candidates) / count² */
const unlike: Scores = (candidates) => {
  const total = candidates.reduce((sum, { attention }) => sum + attention, 0);
  const dot = (a: ArrayLike<number>, b: ArrayLike<number>) => Array.from(a).reduce((sum, x, i) => sum + x * b[i]!, 0);
  return candidates.map((one) => {
    const cosines = candidates
      .filter((other) => other !== one)
      .map(({ key }) => dot(one.key, key) / Math.sqrt(Math.max(dot(one.key, one.key) * dot(key, key), 1e-20)));
    const redundancy = cosines.reduce((sum, cosine) => sum + cosine, 0);
    return (0.1 * one.attention) / Math.max(total, 1e-20) - (0.9 * redundancy) / candidates.length ** 2;
  });
};

export const SCORES: Readonly<Record<PolicyName, Scores>> = {
  full: byAge,
  streaming: byAge,
  'line-ar': byAttention,
  summary: byAttention,
  h2o: byAttention,
  snapkv: pooled,
  'r-kv': unlike,
  random,
};

/**
 * How far a score in f32 may be from these: 0 where it is a copy. For `r-kv`, n cosines of at most 1 by sums of D terms,
 * each off by at most (D + 8) roundings of Σ |a b| <= |a| |b|, over n²; and the attention's sum of n terms.
 */
export function scoreError(policy: string, candidates: number, headDim: number): number {
  return policy === 'r-kv' ? (2 * (3 * headDim + candidates + 16) * 2 ** -24) / Math.max(1, candidates) + 2 ** -20 : 0;
}
