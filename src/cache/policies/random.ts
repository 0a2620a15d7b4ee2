import { PHILOX } from '../../kernels/philox.ts';
import type { EvictionPolicy } from './eviction-policy.ts';

/** Keep tokens at random: a control. Philox, counter (token, layer, KV head), drawn anew at every eviction. */
export const random: EvictionPolicy = {
  name: 'random',
  observe: 'nothing',
  score: `${PHILOX}
fn score(c: Candidate) -> f32 {
  let cell = cellOf();
  return f32(philox(vec4u(c.token, cell, 0), vec2u(step.token, 0)).x >> 8);
}`,
};
