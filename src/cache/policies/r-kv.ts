import type { EvictionPolicy } from './eviction-policy.ts';

/**
 * Keep tokens that are attended to and unlike the others: 0.1 · importance − 0.9 · redundancy. Importance is the share of
 * the candidates' attention; redundancy the mean cosine of a key and the other candidates' keys, over their number: the
 * source's softmax to first order, and without its exemption of the newest of similar tokens (ours).
 * Source: R-KV, arXiv 2505.24133, eq. 3 to 6.
 */
export const rKv: EvictionPolicy = {
  name: 'r-kv',
  observe: { queries: 'line' },
  score: `
fn score(c: Candidate) -> f32 {
  var attention = 0.0;
  var cosines = 0.0;
  for (var j = 0u; j < candidates(); j++) {
    let other = candidate(j);
    attention += other.attention;
    if (j == c.index) { continue; }
    var product = 0.0;
    var squares = vec2f(0.0);
    for (var i = 0u; i < VEC4S; i++) {
      let a = keyOf(c, i);
      let b = keyOf(other, i);
      product += dot(a, b);
      squares += vec2f(dot(a, a), dot(b, b));
    }
    cosines += product * inverseSqrt(max(squares.x * squares.y, 1e-20));
  }
  let count = f32(candidates());
  return 0.1 * c.attention / max(attention, 1e-20) - 0.9 * cosines / (count * count);
}`,
};
