/**
 * Keeps the logits of one place after another, to be compared later with those of a run that draws in another order.
 *
 *     kept[n] = logits, n = calls so far
 *
 * One workgroup, which counts when all is copied: a measurement has no hurry.
 */

import { defineKernel } from '../tensor/kernel.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** logits f32 [R, V], kept f32 [N, R, V], calls u32 [1]. */
export function keepLogits(logits: Tensor, kept: Tensor, calls: Tensor): void {
  const [, rows = 0, vocabulary = 0] = kept.shape;
  logits.expect('keepLogits: logits', [rows, vocabulary]);
  const { runtime } = logits;
  runtime.dispatch(kernel, { logits, kept, calls, sizes: runtime.sizes([logits.count]) }, {}, [1]);
}

const kernel = defineKernel(
  'keepLogits',
  { logits: 'read f32', kept: 'write f32', calls: 'write u32', sizes: 'uniform Sizes' },
  `
struct Sizes { count: u32 }
const THREADS = 256u;
@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) lane: u32) {
  let first = calls[0] * sizes.count;
  for (var i = lane; i < sizes.count; i += THREADS) { kept[first + i] = logits[i]; }
  storageBarrier();
  if (lane == 0) { calls[0] += 1u; }
}`,
);
