/** Matrices one below the other: [R0, C], [R1, C], ... → [R0 + R1 + ..., C], f32. */

import { ShapeError } from '../tensor/errors.ts';
import { defineKernel } from '../tensor/kernel.ts';
import { describeShape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { ROW, rowGroups } from './row-groups.ts';

const THREADS = 64;

/** Throws ShapeError unless all have the first one's width, and 4 divides it. */
export function concatRows(parts: readonly [Tensor, ...Tensor[]], label: string): Tensor {
  const [first] = parts;
  const [, width] = first.matrix(label);
  const heights = parts.map((part) => {
    const [rows, columns] = part.matrix(label);
    if (columns === width && width % 4 === 0) return rows;
    throw new ShapeError(
      `${label}: expected [rows, ${width}] where 4 divides the width, got ${describeShape(part.shape)}`,
    );
  });
  const total = heights.reduce((sum, rows) => sum + rows, 0);
  const y = first.runtime.result([total, width], 'f32', label);
  let above = 0;
  for (const [i, x] of parts.entries()) {
    const sizes = x.runtime.sizes([above, heights[i]!]);
    const groups = [Math.ceil(width / 4 / THREADS), ...rowGroups(heights[i]!)];
    x.runtime.dispatch(kernel, { x, sizes, y }, { VEC4S: width / 4 }, groups);
    above += heights[i]!;
  }
  return y;
}

const kernel = /* @__PURE__ */ defineKernel(
  'concatRows',
  { x: 'read vec4f', sizes: 'uniform Sizes', y: 'write vec4f' },
  `
struct Sizes { first: u32, rows: u32 }
@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) at: vec3u) {
  ${ROW('at')}
  if (at.x < VEC4S) { y[(sizes.first + row) * VEC4S + at.x] = x[row * VEC4S + at.x]; }
}`,
);
