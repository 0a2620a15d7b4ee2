/**
 * Attention of new tokens over the slots of a paged store, in one kernel: rotate the new key and query, write key and value
 * to their slot, attend to every live slot, and add each slot's probability to the scores of the line.
 *
 *     y[r, t, h] = Σ_s softmax(q · k_s / √D)_s v_s
 *     score[r, g, s] += mean over the heads h of g of softmax(...)_s / W
 *
 * One workgroup a row, KV head and new token. A thread computes whole scores for its own slots, so there is no reduction in
 * the inner loop; keys are stored [chunk of 4 channels][slot] for that, values [slot][chunk]. The probabilities of all
 * slots stay in workgroup memory, where the second half of the kernel and the scores read them.
 * Source of the maths: LlamaGen, gpt.py Attention; of the scores: arXiv 2512.04857, inter-line guidance.
 */

import { DeviceError } from '../../tensor/errors.ts';
import { type Constants, defineKernel } from '../../tensor/kernel.ts';
import type { Tensor } from '../../tensor/tensor.ts';

/** Rotary embedding: which two channels of a head form pair p, (2p, 2p + 1) or (p, p + D / 2). */
export interface Rotation {
  /** cos and sin, f32 [positions, D / 2, 2]. */
  readonly angles: Tensor;
  readonly pairing: 'interleaved' | 'half-split';
}

/** Slots of some rows of one layer. `vec4s` are groups of 4 channels. */
export interface SlotBank {
  readonly firstRow: number;
  readonly rows: number;
  /** [rows, G, D / 4, S, 4] */
  readonly keys: Tensor;
  /** [rows, G, S, D] */
  readonly values: Tensor;
  /** Position of the token in each slot, u32 [rows, G, S]. */
  readonly positions: Tensor;
  /** Sum of the attention of the line so far, f32 [rows, G, S]; absent where no policy asks. */
  readonly scores: Tensor | undefined;
}

export interface AttentionShape {
  readonly rows: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Slots of a row. */
  readonly slots: number;
  /** Condition tokens: slots [0, condition) of every row. */
  readonly condition: number;
  /** Queries that one score is the mean of. */
  readonly lineLength: number;
}

/** Where the new token goes and what is live: u32 [8], see `Step` in the shader. */
export const STEP_WORDS = 8;

/** Declares the uniform that changes with every token. `slot` counts slots of a row; a slot s is live when s < extent and not deadFrom <= s < deadTo. */
export const STEP_STRUCT = `
struct Step { token: u32, slot: u32, extent: u32, deadFrom: u32, deadTo: u32, leavingSlot: u32, spare0: u32, spare1: u32 }`;

export interface AttentionInputs {
  /** [R · T, (H + 2 G) · D]: queries, keys, values. */
  readonly qkv: Tensor;
  readonly rotation: Rotation;
  /** Per row: first live condition slot, and what is subtracted from positions; u32 [R, 2]. */
  readonly rowOffsets: Tensor;
  readonly bank: SlotBank;
  readonly step: Tensor;
  /** [R · T, H · D], filled for the bank's rows. */
  readonly y: Tensor;
  readonly shape: AttentionShape;
  /** New tokens a row: 1 in a step, all condition tokens in a prefill. */
  readonly tokens: number;
  readonly phase: 'prefill' | 'decode';
}

/** Bytes of workgroup memory that a store of `slots` slots needs. */
export function attentionWorkgroupBytes(slots: number, headDim: number): number {
  return 4 * (slots + 2 * headDim + 6 * attentionThreads(headDim, false));
}

/** Threads of a workgroup. Software drivers pay for the reductions over them, a GPU for too few in flight. */
function attentionThreads(headDim: number, isSoftware: boolean): number {
  return Math.max(isSoftware ? 32 : 128, 2 ** Math.ceil(Math.log2(headDim / 4)));
}

/** Attends from `tokens` new tokens a row of the bank. In a prefill the keys must have been stored by `appendPrefill`. */
export function decodeAttention(inputs: AttentionInputs): void {
  const { qkv, bank, shape, tokens, phase } = inputs;
  const needed = attentionWorkgroupBytes(shape.slots, shape.headDim);
  const most = qkv.runtime.device.limits.maxComputeWorkgroupStorageSize;
  if (needed > most) {
    throw new DeviceError(
      `attention: expected ${needed} bytes of workgroup memory for ${shape.slots} slots, got ${most}; use a smaller budgetLines`,
    );
  }
  const { tensors, constants } = common(inputs);
  const scored = phase === 'decode' && bank.scores !== undefined;
  qkv.runtime.dispatch(
    kernel,
    { ...tensors, y: inputs.y, ...(scored && { scores: bank.scores! }) },
    { ...constants, DECODING: phase === 'decode', SCORED: scored },
    [shape.kvHeads, tokens, bank.rows],
  );
}

/** Rotates and stores the keys and values of a prefill: token t of every row goes to slot t. */
export function appendPrefill(inputs: AttentionInputs): void {
  const { tensors, constants } = common(inputs);
  inputs.qkv.runtime.dispatch(appendKernel, tensors, constants, [
    inputs.shape.kvHeads,
    inputs.tokens,
    inputs.bank.rows,
  ]);
}

function common({ qkv, rotation, rowOffsets, bank, step, shape, tokens }: AttentionInputs) {
  return {
    tensors: {
      qkv,
      angles: rotation.angles,
      rowOffsets,
      keys: bank.keys,
      values: bank.values,
      positions: bank.positions,
      step,
    },
    constants: {
      HEADS: shape.heads,
      KV_HEADS: shape.kvHeads,
      DIM: shape.headDim,
      SLOTS: shape.slots,
      CONDITION: shape.condition,
      LINE: shape.lineLength,
      FIRST_ROW: bank.firstRow,
      TOKENS: tokens,
      THREADS: attentionThreads(shape.headDim, qkv.runtime.isSoftware),
      INTERLEAVED: rotation.pairing === 'interleaved',
    },
  };
}

const BINDINGS = {
  qkv: 'read f32',
  angles: 'read vec2f',
  rowOffsets: 'read u32',
  keys: 'write vec4',
  values: 'write vec4',
  positions: 'write u32',
  scores: 'write f32',
  y: 'write f32',
  step: 'uniform Step',
} as const;

const SHARED = `
${STEP_STRUCT}
const VEC4S = DIM / 4;
const HALF = DIM / 2;
const STRIDE = (HEADS + 2 * KV_HEADS) * DIM;
fn pair(p: u32) -> vec2u { return select(vec2u(p, p + HALF), vec2u(2 * p, 2 * p + 1), INTERLEAVED); }
fn rotated(at: u32, position: u32, p: u32) -> vec2f {
  let i = pair(p);
  let a = vec2f(qkv[at + i.x], qkv[at + i.y]);
  let turn = angles[position * HALF + p];
  return vec2f(a.x * turn.x - a.y * turn.y, a.y * turn.x + a.x * turn.y);
}
var<workgroup> newKey: array<f32, DIM>;
// all threads of the workgroup call it together, and need a barrier before they read the slot
fn put(lane: u32, cell: u32, token: u32, head: u32, slot: u32, position: u32) {
  let key = token * STRIDE + (HEADS + head) * DIM;
  for (var p = lane; p < HALF; p += THREADS) {
    let turned = rotated(key, position, p);
    let i = pair(p);
    newKey[i.x] = turned.x;
    newKey[i.y] = turned.y;
  }
  workgroupBarrier();
  let value = key + KV_HEADS * DIM;
  for (var c = lane; c < VEC4S; c += THREADS) {
    keys_put((cell * VEC4S + c) * SLOTS + slot, vec4f(newKey[4 * c], newKey[4 * c + 1], newKey[4 * c + 2], newKey[4 * c + 3]));
    values_put((cell * SLOTS + slot) * VEC4S + c, vec4f(qkv[value + 4 * c], qkv[value + 4 * c + 1], qkv[value + 4 * c + 2], qkv[value + 4 * c + 3]));
  }
  if (lane == 0) { positions[cell * SLOTS + slot] = position; }
}`;

const appendKernel = defineKernel(
  'appendPrefill',
  BINDINGS,
  `${SHARED}
@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = FIRST_ROW + group.z;
  let shift = rowOffsets[2 * row + 1];
  put(lane, group.z * KV_HEADS + group.x, row * TOKENS + group.y, group.x, group.y, group.y - min(group.y, shift));
}`,
);

const kernel = defineKernel('decodeAttention', BINDINGS, attentionBody);

function attentionBody({ DECODING, SCORED }: Constants): string {
  return `${SHARED}
const GROUP = HEADS / KV_HEADS;
const PARTS = THREADS / VEC4S;
var<workgroup> query: array<f32, DIM>;
var<workgroup> weight: array<f32, SLOTS>;
var<workgroup> mosts: array<f32, THREADS>;
var<workgroup> sums: array<f32, THREADS>;
var<workgroup> totals: array<vec4f, THREADS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = FIRST_ROW + group.z;
  let head = group.x;
  let cell = group.z * KV_HEADS + head;
  let start = rowOffsets[2 * row];
  let shift = rowOffsets[2 * row + 1];
  ${
    DECODING
      ? `let token = row;
  let position = CONDITION + step.token - shift;
  let extent = step.extent;
  put(lane, cell, token, head, step.slot, position);
  storageBarrier();`
      : `let token = row * TOKENS + group.y;
  let position = group.y - min(group.y, shift);
  let extent = group.y + 1;`
  }
  for (var h = head * GROUP; h < (head + 1) * GROUP; h++) {
    for (var p = lane; p < HALF; p += THREADS) {
      let turned = rotated(token * STRIDE + h * DIM, position, p);
      let i = pair(p);
      query[i.x] = turned.x;
      query[i.y] = turned.y;
    }
    workgroupBarrier();

    var most = -3.0e38;
    for (var s = lane; s < extent; s += THREADS) {
      var score = -3.0e38;
      if (${DECODING ? 's >= start && !(s >= step.deadFrom && s < step.deadTo)' : 's >= start || s == group.y'}) {
        score = 0.0;
        for (var c = 0u; c < VEC4S; c++) {
          let k = keys_at((cell * VEC4S + c) * SLOTS + s);
          score += dot(k, vec4f(query[4 * c], query[4 * c + 1], query[4 * c + 2], query[4 * c + 3]));
        }
        score *= inverseSqrt(f32(DIM));
      }
      weight[s] = score;
      most = max(most, score);
    }
    mosts[lane] = most;
    workgroupBarrier();
    for (var i = 0u; i < THREADS; i++) { most = max(most, mosts[i]); }
    var sum = 0.0;
    for (var s = lane; s < extent; s += THREADS) {
      let w = select(0.0, exp(weight[s] - most), weight[s] > -3.0e38);
      weight[s] = w;
      sum += w;
    }
    sums[lane] = sum;
    workgroupBarrier();
    sum = 0.0;
    for (var i = 0u; i < THREADS; i++) { sum += sums[i]; }
    ${SCORED ? 'for (var s = lane; s < extent; s += THREADS) { scores[cell * SLOTS + s] += weight[s] / (sum * f32(GROUP * LINE)); }' : ''}
    var total = vec4f(0.0);
    let c = lane % VEC4S;
    if (lane < PARTS * VEC4S) {
      for (var s = lane / VEC4S; s < extent; s += PARTS) {
        total += weight[s] * values_at((cell * SLOTS + s) * VEC4S + c);
      }
    }
    totals[lane] = total;
    workgroupBarrier();
    if (lane < VEC4S) {
      for (var i = 1u; i < PARTS; i++) { total += totals[i * VEC4S + lane]; }
      total /= sum;
      let at = (token * HEADS + h) * DIM + 4 * lane;
      y[at] = total.x;
      y[at + 1] = total.y;
      y[at + 2] = total.z;
      y[at + 3] = total.w;
    }
    if (GROUP > 1) { workgroupBarrier(); }
  }
}`;
}
