/**
 * Gives cells that must keep the same tokens the same scores: the mean over the KV heads of a layer, over both guidance
 * rows of an image, or over both. Means of sums are sums of means, so scores that grow over several lines stay right.
 */

import { type Constants, defineKernel } from '../../tensor/kernel.ts';
import type { Tensor } from '../../tensor/tensor.ts';

export interface ShareOptions {
  /** [lanes, rows, G, S] of some rows: of the first lane, which have been added up. */
  readonly scores: Tensor;
  /** Scores of the rows' partners, where those lie in another bank; else rows and partners lie in `scores`, in halves. */
  readonly partners: Tensor | undefined;
  readonly byHeads: boolean;
  readonly byRows: boolean;
}

export function shareScores({ scores, partners, byHeads, byRows }: ShareOptions): void {
  const [, rows = 0, heads = 0, slots = 0] = scores.shape;
  const pairsInside = byRows && !partners;
  const owners = pairsInside ? rows / 2 : rows;
  const cells = owners * (byHeads ? 1 : heads);
  const sizes = scores.runtime.sizes([slots, owners * heads, cells * slots]);
  const constants = { HEADS: heads, BY_HEADS: byHeads, PAIRED: byRows, INSIDE: pairsInside };
  const workgroups = [Math.min(1024, Math.ceil((cells * slots) / 64))];
  scores.runtime.dispatch(kernel, { scores, ...(byRows && partners && { partners }), sizes }, constants, workgroups);
}

const kernel = /* @__PURE__ */ defineKernel(
  'shareScores',
  { scores: 'write f32', partners: 'write f32', sizes: 'uniform Sizes' },
  ({ PAIRED, INSIDE }: Constants) => {
    const partner = INSIDE ? 'scores[at + sizes.half * sizes.slots]' : 'partners[at]';
    return `
struct Sizes { slots: u32, half: u32, count: u32 }
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let heads = select(1u, HEADS, BY_HEADS);
  for (var i = id.x; i < sizes.count; i += 64u * groups.x) {
    let first = i / sizes.slots * heads * sizes.slots + i % sizes.slots;
    var sum = 0.0;
    for (var h = 0u; h < heads; h++) {
      let at = first + h * sizes.slots;
      sum += ${PAIRED ? `(scores[at] + ${partner})` : 'scores[at]'}; // a pair first: its order does not matter
    }
    let mean = sum / f32(heads * ${PAIRED ? 2 : 1}u);
    for (var h = 0u; h < heads; h++) {
      let at = first + h * sizes.slots;
      scores[at] = mean;
      ${PAIRED ? `${partner} = mean;` : ''}
    }
  }
}`;
  },
);
