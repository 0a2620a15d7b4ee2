/**
 * How far one prediction of the next token is from another, without leaving the GPU.
 *
 *     p, q = softmax of guided logits / temperature, of the reference and of the other
 *     sums[image, n] = Σ p ln(p / q),  1 if both find the same token likeliest else 0,  −log2 p(token),  −log2 q(token)
 *
 * n counts the calls. One workgroup an image.
 */

import { defineKernel } from '../tensor/kernel.ts';
import type { Tensor } from '../tensor/tensor.ts';

export interface DivergenceInputs {
  /** [R, V]; with guidance conditional rows first, and R is twice the images. */
  readonly reference: Tensor;
  readonly other: Tensor;
  /** What is fed next, u32 [B]; ids begin with `first`. */
  readonly token: Tensor;
  readonly first: number;
  /** f32 [B, N, 4], filled one place a call. */
  readonly sums: Tensor;
  /** Calls so far, u32 [B]. */
  readonly calls: Tensor;
  readonly guidanceScale: number;
  readonly temperature: number;
}

export function divergence(inputs: DivergenceInputs): void {
  const { reference, other, token, first, sums, calls, guidanceScale, temperature } = inputs;
  const [rows, vocabulary] = reference.matrix('divergence: reference');
  other.expect('divergence: other', [rows, vocabulary]);
  const [images = 0, places = 0] = sums.shape;
  const constants = {
    ...{ IMAGES: images, VOCABULARY: vocabulary, PLACES: places, FIRST: first },
    ...{ GUIDED: rows > images, SCALE: guidanceScale, TEMPERATURE: temperature },
  };
  reference.runtime.dispatch(kernel, { reference, other, token, sums, calls }, constants, [images]);
}

const kernel = defineKernel(
  'divergence',
  { reference: 'read f32', other: 'read f32', token: 'read u32', sums: 'write f32', calls: 'write u32' },
  `
const THREADS = 64u;
var<workgroup> parts: array<vec4f, THREADS>;
var<workgroup> places: array<vec2u, THREADS>;
fn guided(cond: f32, uncond: f32) -> f32 { return (uncond + (cond - uncond) * f32(SCALE)) / f32(TEMPERATURE); }
fn both(image: u32, v: u32) -> vec2f {
  let at = image * VOCABULARY + v;
  if (!GUIDED) { return vec2f(reference[at], other[at]) / f32(TEMPERATURE); }
  let without = at + IMAGES * VOCABULARY;
  return vec2f(guided(reference[at], reference[without]), guided(other[at], other[without]));
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let image = group.x;
  var most = vec2f(-3.4e38);
  var likeliest = vec2u(0);
  for (var v = lane; v < VOCABULARY; v += THREADS) {
    let l = both(image, v);
    likeliest = select(likeliest, vec2u(v), l > most);
    most = max(most, l);
  }
  parts[lane] = vec4f(most, 0.0, 0.0);
  places[lane] = likeliest;
  workgroupBarrier();
  for (var i = 0u; i < THREADS; i++) {
    let own = parts[i].xy;
    // the lowest id among equals
    likeliest = select(likeliest, select(places[i], min(likeliest, places[i]), own == most), own >= most);
    most = max(most, own);
  }
  workgroupBarrier();
  var sum = vec4f(0.0); // of both weights, and of the reference's weights times the difference of exponents
  for (var v = lane; v < VOCABULARY; v += THREADS) {
    let l = both(image, v) - most;
    let w = exp(l);
    sum += vec4f(w, w.x * (l.x - l.y), 0.0);
  }
  parts[lane] = sum;
  workgroupBarrier();
  if (lane > 0) { return; }
  for (var i = 1u; i < THREADS; i++) { sum += parts[i]; }
  let at = (image * PLACES + calls[image]) * 4u;
  let bits = (log(sum.xy) - (both(image, token[image] - FIRST) - most)) * 1.4426950408889634;
  sums[at] = sum.z / sum.x - log(sum.x) + log(sum.y);
  sums[at + 1u] = f32(likeliest.x == likeliest.y);
  sums[at + 2u] = bits.x;
  sums[at + 3u] = bits.y;
  calls[image] += 1u;
}`,
);
