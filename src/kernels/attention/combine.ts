/**
 * Joins attention that was split over workgroups: parts p of the slots, each with its largest exponent m, its weights'
 * sum l and its weighted values o.
 *
 *     y = Σ_p e^(m_p − m) o_p / Σ_p e^(m_p − m) l_p          m = max m_p
 *
 * Source: FlashDecoding, crfm.stanford.edu/2023/10/12/flashdecoding.html.
 */

import { defineKernel, unroll } from '../../tensor/kernel.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { type AttentionShape, laneOf, type SlotBank, stepStruct } from './slots.ts';

export interface CombineInputs {
  /** [R · T · H, parts, D + 4]: o, then m and l. */
  readonly partial: Tensor;
  /** e^(score − m of its part), f32 [R · T · H, S]; with scores. */
  readonly weights: Tensor | undefined;
  readonly scores: Tensor | undefined;
  readonly step: Tensor;
  /** With drafts, see `laneOf`. */
  readonly drawn: Tensor | undefined;
  readonly y: Tensor;
  readonly shape: AttentionShape;
  readonly bank: SlotBank;
  readonly tokens: number;
  /** Slots of a part, and parts. */
  readonly span: number;
  readonly parts: number;
}

export function combine(inputs: CombineInputs): void {
  const { partial, weights, scores, step, drawn, y, shape, bank, tokens, span, parts } = inputs;
  const { heads, kvHeads, headDim, slots, condition, images } = shape;
  const sizes = y.runtime.sizes([slots, condition, bank.firstRow, tokens, span, parts, images]);
  const scored = weights && scores ? { weights, scores, step, ...(drawn && { drawn }) } : undefined;
  const constants = {
    HEADS: heads,
    KV_HEADS: kvHeads,
    DIM: headDim,
    SCORED: scored !== undefined,
    LANES: scored && !drawn ? tokens : 1,
    ...(scored && drawn && { DRAFTS: true }),
  };
  y.runtime.dispatch(kernel, { partial, ...scored, y, sizes }, constants, [kvHeads, tokens, bank.rows]);
}

/**
 * WGSL: what a slot's score grows by, a new token's and the first observed of a line beginning anew. Every lane has scores
 * of its own, which the end of a line adds up: lanes of a row are computed side by side. With drafts every column of the
 * line has: what a draft that was refused has left there is overwritten by the token that came after it.
 */
export const addScore = (lanes: number, isDrafts: boolean) =>
  isDrafts
    ? `
fn addScore(group: vec3u, groups: vec3u, head: u32, s: u32, share: f32) {
  let own = laneOf(sizes.firstRow + group.z, group.y);
  let column = 1 + own.slot - own.first;
  scores[((column * groups.z + group.z) * KV_HEADS + head) * sizes.slots + s] = share;
}`
    : `
fn addScore(group: vec3u, groups: vec3u, head: u32, s: u32, share: f32) {
  let at = ((group.y * groups.z + group.z) * KV_HEADS + head) * sizes.slots + s;
  var isNew = step.isFresh == 1;
  ${unroll(lanes, (j) => `isNew = isNew || s == step.lanes[${j}].slot;`)}
  scores[at] = select(scores[at], 0.0, isNew) + share;
}`;

/** `all` gives the largest exponent of all parts, and the sum of the weights under it. */
const kernel = /* @__PURE__ */ defineKernel(
  'combineAttention',
  {
    partial: 'read vec4f',
    weights: 'read f32',
    scores: 'write f32',
    drawn: 'read u32',
    y: 'write vec4f',
    step: 'uniform Step',
    sizes: 'uniform Sizes',
  },
  ({ SCORED, LANES, DRAFTS }) => `
${SCORED ? stepStruct(Number(LANES)) + laneOf(DRAFTS === true) : ''}
struct Sizes { slots: u32, condition: u32, firstRow: u32, tokens: u32, span: u32, parts: u32, images: u32 }
const VEC4S = DIM / 4u;
const GROUP = HEADS / KV_HEADS;
const THREADS = 64u;
${SCORED ? addScore(Number(LANES), DRAFTS === true) : ''}
fn partOf(h: u32, group: vec3u, p: u32) -> u32 {
  return (((group.z * sizes.tokens + group.y) * HEADS + h) * sizes.parts + p) * (VEC4S + 1u);
}
fn all(h: u32, group: vec3u) -> vec2f {
  var most = -3.0e38;
  for (var p = 0u; p < sizes.parts; p++) { most = max(most, partial[partOf(h, group, p) + VEC4S].x); }
  var sum = 0.0;
  for (var p = 0u; p < sizes.parts; p++) {
    let own = partial[partOf(h, group, p) + VEC4S];
    sum += own.y * exp(own.x - most);
  }
  return vec2f(most, sum);
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let token = (sizes.firstRow + group.z) * sizes.tokens + group.y;
  for (var i = lane; i < GROUP * VEC4S; i += THREADS) {
    let h = group.x * GROUP + i / VEC4S;
    let joined = all(h, group);
    var total = vec4f(0.0);
    for (var p = 0u; p < sizes.parts; p++) {
      let at = partOf(h, group, p);
      total += partial[at + i % VEC4S] * exp(partial[at + VEC4S].x - joined.x);
    }
    y[(token * HEADS + h) * VEC4S + i % VEC4S] = total / joined.y;
  }
  ${
    SCORED
      ? `
  let own = laneOf(sizes.firstRow + group.z, group.y);
  let observed = select(own.observed, 0, isDead(own));
  if (observed == 0) { return; }
  for (var s = sizes.condition + lane; s < step.extent; s += THREADS) {
    var sum = 0.0;
    for (var h = group.x * GROUP; h < (group.x + 1u) * GROUP; h++) {
      let joined = all(h, group);
      let own = exp(partial[partOf(h, group, s / sizes.span) + VEC4S].x - joined.x);
      sum += weights[((group.z * sizes.tokens + group.y) * HEADS + h) * sizes.slots + s] * own / (joined.y * f32(GROUP * observed));
    }
    addScore(group, groups, group.x, s, sum);
  }`
      : ''
  }
}`,
);
