/**
 * Adds up what the lanes of lines in parallel have observed, at the end of a line: each has scores of its own, so that the
 * lanes of a row may be computed side by side.
 */

import { defineKernel } from '../../tensor/kernel.ts';
import type { Tensor } from '../../tensor/tensor.ts';

/** scores f32 [lanes, rows, G, S]: the sums go to the first lane, the others begin anew. */
export function addScores(scores: Tensor): void {
  const [lanes = 1] = scores.shape;
  if (lanes === 1) return;
  const count = scores.count / lanes;
  const workgroups = [Math.min(1024, Math.ceil(count / 64))];
  scores.runtime.dispatch(kernel, { scores, sizes: scores.runtime.sizes([lanes, count]) }, {}, workgroups);
}

const kernel = /* @__PURE__ */ defineKernel(
  'addScores',
  { scores: 'write f32', sizes: 'uniform Sizes' },
  `
struct Sizes { lanes: u32, count: u32 }
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  for (var i = id.x; i < sizes.count; i += 64u * groups.x) {
    var sum = scores[i];
    for (var lane = 1u; lane < sizes.lanes; lane++) {
      sum += scores[lane * sizes.count + i];
      scores[lane * sizes.count + i] = 0.0;
    }
    scores[i] = sum;
  }
}`,
);
