/** New keys and values, rotated and put into their slots: those of a prefill by a kernel, those of a step inside attention. */

import { type Constants, defineKernel, unroll } from '../../tensor/kernel.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { type AttentionShape, type Rotation, type SlotBank, stepStruct } from './slots.ts';
import { storageConstants, store, stored } from './stored.ts';
import { attentionThreads } from './tiles.ts';

export interface AttentionInputs {
  /** [R · T, (H + 2 G) · D]: queries, keys, values. */
  readonly qkv: Tensor;
  readonly rotation: Rotation;
  /** Per row: first live condition slot, and what is subtracted from positions; u32 [R, 2]. */
  readonly rowOffsets: Tensor;
  readonly bank: SlotBank;
  readonly step: Tensor;
  /** With drafts, see `laneOf`. */
  readonly drawn?: Tensor | undefined;
  /** [R · T, H · D], filled for the bank's rows. */
  readonly y: Tensor;
  readonly shape: AttentionShape;
  /** New tokens a row: the lanes of a step, all condition tokens in a prefill. */
  readonly tokens: number;
  readonly phase: 'prefill' | 'decode';
}

/** Rotates and stores the keys and values of a prefill: token t of every row goes to slot t. */
export function appendPrefill(inputs: AttentionInputs): void {
  const { tensors, constants } = common(inputs, 0, 0);
  inputs.qkv.runtime.dispatch(appendKernel, tensors, constants, [
    inputs.shape.kvHeads,
    inputs.tokens,
    inputs.bank.rows,
  ]);
}

/** What both kernels are given; `span` and `parts` say how the slots are split. */
export function common(
  { qkv, rotation, rowOffsets, bank, step, drawn, shape, tokens }: AttentionInputs,
  span: number,
  parts: number,
) {
  const { runtime } = qkv;
  return {
    tensors: {
      qkv,
      angles: rotation.angles,
      rowOffsets,
      keys: bank.keys,
      values: bank.values,
      positions: bank.positions,
      step,
      ...(drawn && { drawn }),
      sizes: runtime.sizes([
        shape.slots,
        shape.condition,
        bank.firstRow,
        tokens,
        span,
        parts,
        shape.images,
        shape.headDim / 4,
      ]),
    },
    constants: {
      HEADS: shape.heads,
      KV_HEADS: shape.kvHeads,
      DIM: shape.headDim,
      THREADS: attentionThreads(shape, bank.keys.dtype, runtime.isSoftware),
      INTERLEAVED: rotation.pairing === 'interleaved',
      ...(drawn && { DRAFTS: true }),
      ...storageConstants(bank.keys.dtype),
    },
  };
}

export const BINDINGS = {
  qkv: 'read vec4f',
  angles: 'read vec2f',
  rowOffsets: 'read u32',
  keys: 'write vec4',
  values: 'write vec4',
  positions: 'write u32',
  scores: 'write f32',
  weights: 'write f32',
  partial: 'write vec4f',
  y: 'write vec4f',
  drawn: 'read u32',
  step: 'uniform Step',
  sizes: 'uniform Sizes',
} as const;

/** WGSL: the step, what is stored, `turned` and `put`. */
export const put = (lanes: number, constants: Constants) => `
${stepStruct(lanes)}
struct Sizes {
  slots: u32, condition: u32, firstRow: u32, tokens: u32, span: u32, parts: u32, images: u32, vectors: u32,
}
const VEC4S = DIM / 4u;
const HALF = DIM / 2u;
const STRIDE = (HEADS + 2u * KV_HEADS) * VEC4S;
${stored(constants)}
${store(constants)}
// channels 4 c to 4 c + 3 of the head at \`at\`, turned
fn turned(at: u32, position: u32, c: u32) -> vec4f {
  let x = qkv[at + c];
  if (INTERLEAVED) {
    let a = angles[position * HALF + 2u * c];
    let b = angles[position * HALF + 2u * c + 1u];
    return vec4f(x.x * a.x - x.y * a.y, x.y * a.x + x.x * a.y, x.z * b.x - x.w * b.y, x.w * b.x + x.z * b.y);
  }
  var y: vec4f;
  for (var e = 0u; e < 4u; e++) {
    let i = 4u * c + e;
    let isLow = i < HALF;
    let other = select(i - HALF, i + HALF, isLow);
    let turn = angles[position * HALF + min(i, other)];
    let partner = qkv[at + other / 4u][other % 4u];
    y[e] = x[e] * turn.x + select(partner, -partner, isLow) * turn.y;
  }
  return y;
}
fn put(lane: u32, cell: u32, token: u32, head: u32, slot: u32, position: u32) {
  let at = token * STRIDE + (HEADS + head) * VEC4S;
  ${unroll(
    Math.ceil(Number(constants.DIM) / 4 / Number(constants.THREADS)),
    (k) => `{
    let c = lane + ${k}u * THREADS;
    var key: vec4f;
    var value: vec4f;
    if (c < VEC4S) {
      key = turned(at, position, c);
      value = qkv[at + KV_HEADS * VEC4S + c];
    }
    store(c, cell, slot, key, value);
  }`,
  )}
  if (lane == 0) { positions[cell * sizes.slots + slot] = position; }
}`;

const appendKernel = /* @__PURE__ */ defineKernel(
  'appendPrefill',
  BINDINGS,
  (constants) => `${put(1, constants)}
@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = sizes.firstRow + group.z;
  let shift = rowOffsets[2 * row + 1];
  put(lane, group.z * KV_HEADS + group.x, row * sizes.tokens + group.y, group.x, group.y, group.y - min(group.y, shift));
}`,
);
