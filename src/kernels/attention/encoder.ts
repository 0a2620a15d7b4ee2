/**
 * Attention of an encoder: every token of a row sees every other that is not padding, both ways, in many heads.
 *
 *     y[r, t, h] = Σ_s softmax_s(q_t · k_s + bias[h, s − t + T − 1]) v_s        s from leftPadding[r] to T − 1
 *
 * The products are not divided by √D: T5 folds that into its weights. A thread owns one query of one head and walks the keys
 * once (online softmax: the sums so far are rescaled when a larger score comes). Neighboring threads read the same keys, so
 * no workgroup memory and no barrier is needed. Padding precedes token `leftPadding[r]`; its rows of y are zeros. Sums in f32. Source: arXiv 1910.10683, 2.1;
 * transformers, modeling_t5.py, T5Attention.
 */

import { ShapeError } from '../../tensor/errors.ts';
import { type Constants, defineKernel, unroll } from '../../tensor/kernel.ts';
import { describeShape } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';

const THREADS = 32;

export interface EncoderAttentionInputs {
  /** Added to a score, by head and by the distance s − t + T − 1 from query t to key s: f32 [H, 2 T − 1]. */
  readonly bias: Tensor;
  /** First token of each row that is not padding, u32 [R]. */
  readonly leftPadding: Tensor;
}

/** qkv [R · T, 3 · H · D] f32: queries, keys, values → [R · T, H · D] f32. Throws ShapeError unless 4 divides D. */
export function encoderAttention(qkv: Tensor, { bias, leftPadding }: EncoderAttentionInputs, label: string): Tensor {
  const [places, width] = qkv.matrix(`${label}: qkv`);
  const [heads, distances] = bias.matrix(`${label}: bias`);
  const rows = leftPadding.count;
  const tokens = (distances + 1) / 2;
  if (places !== rows * tokens || width % (3 * 4 * heads) !== 0) {
    throw new ShapeError(
      `${label}: expected qkv [${rows} · ${tokens}, 3 · ${heads} · D] where 4 divides D, got ${describeShape(qkv.shape)}`,
    );
  }
  const y = qkv.runtime.result([places, width / 3], 'f32', label);
  const constants = { TOKENS: tokens, HEADS: heads, VEC4S: width / 12 / heads };
  const groups = [Math.ceil(tokens / THREADS), heads, rows];
  qkv.runtime.dispatch(kernel, { qkv, bias, leftPadding, y }, constants, groups);
  return y;
}

const kernel = /* @__PURE__ */ defineKernel(
  'encoderAttention',
  { qkv: 'read vec4f', bias: 'read f32', leftPadding: 'read u32', y: 'write vec4f' },
  ({ VEC4S }: Constants) => {
    const vec4s = (piece: (i: number) => string) => unroll(Number(VEC4S), piece);
    return `
@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let query = group.x * ${THREADS}u + lane;
  let head = group.y;
  let row = group.z;
  if (query >= TOKENS) { return; }
  let first = leftPadding[row];
  let place = (row * TOKENS + query) * HEADS + head;
  ${vec4s((i) => `var y${i} = vec4f();`)}
  var sum = 1.0;
  if (query >= first) {
    let q = ((row * TOKENS + query) * 3u * HEADS + head) * VEC4S;
    ${vec4s((i) => `let q${i} = qkv[q + ${i}u];`)}
    var largest = -3.4e38;
    sum = 0.0;
    for (var key = first; key < TOKENS; key++) {
      let k = ((row * TOKENS + key) * 3u * HEADS + HEADS + head) * VEC4S;
      let v = k + HEADS * VEC4S;
      var score = bias[head * (2u * TOKENS - 1u) + key + TOKENS - 1u - query];
      ${vec4s((i) => `score += dot(q${i}, qkv[k + ${i}u]);`)}
      let next = max(largest, score);
      let scale = exp(largest - next);
      let weight = exp(score - next);
      largest = next;
      sum = sum * scale + weight;
      ${vec4s((i) => `y${i} = y${i} * scale + weight * qkv[v + ${i}u];`)}
    }
  }
  ${vec4s((i) => `y[place * VEC4S + ${i}u] = y${i} / sum;`)}
}`;
  },
);
