/**
 * Layer norm of the queries and keys of each head, with a gain and a bias of their own; values pass as they are.
 *
 *     y = (x − mean x) / √(var x + ε) · gain + bias        over the D channels of a head
 *
 * One workgroup a row and head, so that a row of few heads still fills a GPU. Source: transformers, modeling_chameleon.py.
 */

import { defineKernel } from '../tensor/kernel.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { ROW, rowGroups } from './row-groups.ts';

export interface QkNorm {
  /** f32 [H + G, D]: those of the query heads, then of the key heads. */
  readonly gain: Tensor;
  readonly bias: Tensor;
  readonly epsilon: number;
}

const THREADS = 32;

/** qkv [R · T, (H + 2 G) · D] → the same shape. H + G and D are those of the gain; G is what is left of the width. */
export function qkNorm(qkv: Tensor, { gain, bias, epsilon }: QkNorm): Tensor {
  const [normed, headDim] = gain.matrix('head norm: gain');
  bias.expect('head norm: bias', gain.shape);
  const [rows, width] = qkv.matrix('head norm: qkv');
  const heads = width / headDim;
  const y = qkv.runtime.result([rows, width], 'f32', 'normed heads');
  const constants = { HEADS: heads, NORMED: normed, DIM: headDim, EPSILON: epsilon, THREADS };
  qkv.runtime.dispatch(kernel, { x: qkv, gain, bias, sizes: qkv.runtime.sizes([rows]), y }, constants, [
    heads,
    ...rowGroups(rows),
  ]);
  return y;
}

const kernel = /* @__PURE__ */ defineKernel(
  'qkNorm',
  { x: 'read f32', gain: 'read f32', bias: 'read f32', sizes: 'uniform Sizes', y: 'write f32' },
  `
struct Sizes { rows: u32 }
var<workgroup> parts: array<f32, THREADS>;
// all threads call it together
fn total(own: f32, lane: u32) -> f32 {
  workgroupBarrier();
  parts[lane] = own;
  workgroupBarrier();
  var sum = 0.0;
  for (var i = 0u; i < THREADS; i++) { sum += parts[i]; }
  return sum;
}
@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  ${ROW('group')}
  let head = group.x;
  let at = (row * HEADS + head) * DIM;
  if (head >= NORMED) {
    for (var i = lane; i < DIM; i += THREADS) { y[at + i] = x[at + i]; }
    return;
  }
  var own = 0.0;
  for (var i = lane; i < DIM; i += THREADS) { own += x[at + i]; }
  let mean = total(own, lane) / f32(DIM);
  own = 0.0;
  for (var i = lane; i < DIM; i += THREADS) { let d = x[at + i] - mean; own += d * d; }
  let scale = inverseSqrt(total(own, lane) / f32(DIM) + EPSILON);
  for (var i = lane; i < DIM; i += THREADS) {
    y[at + i] = (x[at + i] - mean) * scale * gain[head * DIM + i] + bias[head * DIM + i];
  }
}`,
);
