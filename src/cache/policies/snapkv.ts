import type { EvictionPolicy } from './eviction-policy.ts';

/** Tokens whose attention is observed. Source: SnapKV's observation window, for lines rather than prompts (ours). */
const WINDOW = 8;

/**
 * Keep the tokens that the last 8 of the line attended to most, or to a token at most 2 places away.
 * Source: SnapKV, arXiv 2404.14469 (max pooling, kernel 5).
 */
export const snapkv: EvictionPolicy = {
  name: 'snapkv',
  observe: ({ lineLength }) => ({ queries: Math.min(WINDOW, lineLength) }),
  score: `
fn score(c: Candidate) -> f32 {
  var most = 0.0;
  for (var j = 0u; j < candidates(); j++) {
    let other = candidate(j);
    if (max(c.token, other.token) - min(c.token, other.token) <= 2) { most = max(most, other.attention); }
  }
  return most;
}`,
};
