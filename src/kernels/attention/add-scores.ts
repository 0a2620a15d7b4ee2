/**
 * Adds up what the lanes of a row have observed, at the end of a line: each has scores of its own, so that they may be
 * computed side by side.
 */

import { defineKernel } from '../../tensor/kernel.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { stepStruct } from './slots.ts';

/**
 * scores f32 [lanes, rows, G, S]: the sums go to the first lane. Of lines in parallel the others begin anew. With drafts, the
 * `step` of whose line is given, the first holds the sum of older lines, and the others what each column adds to it: all is
 * written again before it is added again.
 */
export function addScores(scores: Tensor, step?: Tensor): void {
  const [lanes = 1] = scores.shape;
  if (lanes === 1) return;
  const { runtime } = scores;
  const count = scores.count / lanes;
  const sizes = runtime.sizes([lanes, count, scores.shape.at(-1)!]); // four dimensions
  const workgroups = [Math.min(1024, Math.ceil(count / 64))];
  runtime.dispatch(kernel, { scores, ...(step && { step }), sizes }, { DRAFTS: step !== undefined }, workgroups);
}

const kernel = /* @__PURE__ */ defineKernel(
  'addScores',
  { scores: 'write f32', step: 'uniform Step', sizes: 'uniform Sizes' },
  ({ DRAFTS }) => `
${DRAFTS ? stepStruct() : ''}
struct Sizes { lanes: u32, count: u32, slots: u32 }
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  for (var i = id.x; i < sizes.count; i += 64u * groups.x) {
    var sum = scores[i];
    ${
      DRAFTS
        ? `let slot = i % sizes.slots;
    if (step.isFresh == 1 || (slot >= step.lanes[0].first && slot < step.lanes[0].end)) { sum = 0.0; }`
        : ''
    }
    for (var lane = 1u; lane < sizes.lanes; lane++) {
      sum += scores[lane * sizes.count + i];
      ${DRAFTS ? '' : 'scores[lane * sizes.count + i] = 0.0;'}
    }
    scores[i] = sum;
  }
}`,
);
