/**
 * Which of the drafts that a step has fed were right, and the drafts of the next step.
 *
 * Lane 0 feeds the newest token of an image, the lanes behind it drafts. What a lane has drawn is what a step of one token
 * would have drawn, as long as all drafts fed before it were right: equal to what the lane before has drawn, by the same
 * random numbers, which belong to the place. So as many tokens are drawn as stand before the first wrong draft, one at
 * least, and they are the sequential ones; what the lanes behind have drawn are the drafts of the next step. Places that no
 * lane has drawn yet begin with the token above, in the first line with the newest.
 *
 * Source: arXiv 2410.01699, whose ratio of probabilities the shared random numbers stand for. (ours)
 */

import { defineKernel } from '../tensor/kernel.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { stepStruct } from './attention/slots.ts';
import type { DrawState } from './sample.ts';

/** fed u32 [B · lanes]: of a step whose draws are in `state.tokens`. Counts them in `state.drawn`. */
export function accept(fed: Tensor, step: Tensor, state: DrawState, lineLength: number): void {
  const { tokens, drawn, seed } = state;
  const [images, places] = tokens.matrix('accept: tokens');
  const sizes = fed.runtime.sizes([images, places, lineLength, fed.count / images]);
  fed.runtime.dispatch(kernel, { fed, tokens, drawn, seed, step, sizes }, {}, [Math.ceil(images / 64)]);
}

const kernel = /* @__PURE__ */ defineKernel(
  'accept',
  {
    fed: 'read u32',
    tokens: 'write u32',
    drawn: 'write u32',
    seed: 'read u32',
    step: 'uniform Step',
    sizes: 'uniform Sizes',
  },
  `
${stepStruct()}
struct Sizes { images: u32, places: u32, lineLength: u32, lanes: u32 }
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let image = id.x;
  if (image >= sizes.images) { return; }
  let row = image * sizes.places;
  let given = seed[4 * image + 3];
  let first = drawn[image];
  let end = step.lanes[0].token + 2;
  let live = min(sizes.lanes, max(end, first) - first);
  var right = 0u;
  while (right < live) {
    right++;
    if (right < live && fed[image * sizes.lanes + right] != tokens[row + first + right - 1]) { break; }
  }
  drawn[image] = first + right;
  for (var p = max(first + live, given); p < min(first + right + sizes.lanes - 1, sizes.places); p++) {
    tokens[row + p] = tokens[row + select(first + right - 1, p - sizes.lineLength, p >= sizes.lineLength)];
  }
}`,
);
