/**
 * What a step of several tokens feeds and draws, by the places that the step names: the tokens lie on the GPU.
 *
 *     ids[b, lane] = tokens[b, source of lane]        draws[b, lane] = place that the lane draws, beyond all: none
 *
 * With drafts the places follow from how far an image is.
 * A place that ends a line holds the newline of the family whether it is drawn yet or not.
 */

import { defineKernel } from '../tensor/kernel.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { laneOf, stepStruct } from './attention/slots.ts';

export interface Feed {
  /** What is fed, u32 [B · lanes]. */
  readonly ids: Tensor;
  /** What is drawn of it, u32 [B · lanes]. */
  readonly draws: Tensor;
}

export interface FeedOptions {
  /** Of the image; the newline's id where lines end with one. */
  readonly lineLength: number;
  readonly lineEnd?: number;
  readonly lanes: number;
  /** With drafts, see `laneOf`. */
  readonly drawn?: Tensor | undefined;
}

/** tokens u32 [B, N], step: `stepWords`. */
export function feed(tokens: Tensor, step: Tensor, { lineLength, lineEnd, lanes, drawn }: FeedOptions): Feed {
  const { runtime } = tokens;
  const [images, places] = tokens.matrix('feed: tokens');
  const ids = runtime.result([images * lanes], 'u32', 'fed');
  const draws = runtime.result([images * lanes], 'u32', 'places drawn');
  const sizes = runtime.sizes([images * lanes, places, lineLength, images]);
  const constants = { LANES: lanes, LINE_END: lineEnd ?? -1, DRAFTS: drawn !== undefined };
  const tensors = { tokens, step, ...(drawn && { drawn }), sizes, ids, draws };
  runtime.dispatch(kernel, tensors, constants, [Math.ceil((images * lanes) / 64)]);
  return { ids, draws };
}

const kernel = /* @__PURE__ */ defineKernel(
  'feed',
  {
    tokens: 'read u32',
    drawn: 'read u32',
    step: 'uniform Step',
    sizes: 'uniform Sizes',
    ids: 'write u32',
    draws: 'write u32',
  },
  ({ LANES, LINE_END, DRAFTS }) => `${stepStruct(DRAFTS ? 1 : Number(LANES))}
struct Sizes { count: u32, places: u32, lineLength: u32, images: u32 }
${laneOf(DRAFTS === true)}
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) at: vec3u) {
  if (at.x >= sizes.count) { return; }
  let lane = laneOf(at.x / LANES, at.x % LANES);
  var id = tokens[at.x / LANES * sizes.places + lane.source];
  ${Number(LINE_END) >= 0 ? 'if ((lane.source + 1) % sizes.lineLength == 0) { id = u32(LINE_END); }' : ''}
  ids[at.x] = id;
  draws[at.x] = lane.draws;
}`,
);
