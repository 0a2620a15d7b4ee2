/**
 * Root-mean-square norm of rows, where it is no part of a linear layer.
 *
 *     y = x / sqrt(mean(x²) + epsilon) · gain          x, y [R · T, C]   gain [C]
 *
 * Rows of padding, before `leftPadding` of their T tokens, become zeros. Sums in f32. Source: arXiv 1910.07467, eq. 4.
 */

import { ShapeError } from '../tensor/errors.ts';
import { defineKernel } from '../tensor/kernel.ts';
import { describeShape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';

const THREADS = 64;

export interface NormInputs {
  /** f32 [C] */
  readonly gain: Tensor;
  readonly epsilon: number;
  /** First token of each row that is not padding, u32 [R]. */
  readonly leftPadding: Tensor;
}

/** x [R · T, C] f32 → [R · T, C] f32. Throws ShapeError unless R divides the rows, 4 the width, and the gain fits. */
export function rmsNorm(x: Tensor, { gain, epsilon, leftPadding }: NormInputs, label: string): Tensor {
  const [places, width] = x.matrix(`${label}: x`);
  if (width % 4 !== 0 || places % leftPadding.count !== 0) {
    throw new ShapeError(
      `${label}: expected x [${leftPadding.count} · T, C] where 4 divides C, got ${describeShape(x.shape)}`,
    );
  }
  gain.expect(`${label}: gain`, [width]);
  const y = x.runtime.result([places, width], 'f32', label);
  const tokens = places / leftPadding.count;
  const tensors = { x, gain, leftPadding, sizes: x.runtime.sizes([tokens]), y };
  x.runtime.dispatch(kernel, tensors, { VEC4S: width / 4, EPSILON: epsilon }, [tokens, leftPadding.count]);
  return y;
}

const kernel = /* @__PURE__ */ defineKernel(
  'rmsNorm',
  { x: 'read vec4f', gain: 'read vec4f', leftPadding: 'read u32', sizes: 'uniform Sizes', y: 'write vec4f' },
  `
struct Sizes { tokens: u32 }
var<workgroup> partial: array<f32, ${THREADS}>;

@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let place = (group.y * sizes.tokens + group.x) * VEC4S;
  var own = 0.0;
  for (var c = lane; c < VEC4S; c += ${THREADS}u) { own += dot(x[place + c], x[place + c]); }
  partial[lane] = own;
  workgroupBarrier();
  var sum = 0.0;
  for (var i = 0u; i < ${THREADS}u; i++) { sum += partial[i]; }
  let scale = select(0.0, inverseSqrt(sum / f32(VEC4S * 4u) + EPSILON), group.x >= leftPadding[group.y]);
  for (var c = lane; c < VEC4S; c += ${THREADS}u) { y[place + c] = x[place + c] * scale * gain[c]; }
}`,
);
