/**
 * How far one prediction of the next token is from another, without leaving the GPU.
 *
 *     p, q = softmax of guided logits / temperature, of the reference and of the other
 *     sums[image, n] = Σ p ln(p / q),  1 if both find the same token likeliest else 0,  −log2 p(token),  −log2 q(token)
 *
 * n counts the calls. Where the reference was kept beforehand (`keepLogits`), several places of an image are compared in a
 * call, those of `kept`. One workgroup an image and place.
 */

import { defineKernel } from '../tensor/kernel.ts';
import type { Tensor } from '../tensor/tensor.ts';

export interface DivergenceInputs {
  /** [R, V]; with guidance conditional rows first, and R is twice the images. Kept: [N, R, V]. */
  readonly reference: Tensor;
  /** [R, V], or [R · lanes, V] beside `kept`. */
  readonly other: Tensor;
  /** What is fed next, u32 [B]; beside `kept` all of them, u32 [B, N]. Ids begin with `first`. */
  readonly token: Tensor;
  readonly first: number;
  /** f32 [B, N, 4], filled one place a call. */
  readonly sums: Tensor;
  /** Calls so far, u32 [B]. */
  readonly calls: Tensor;
  /** The reference is of all places, and these are compared, u32 [B · lanes]; one beyond all: none. */
  readonly kept?: Tensor | undefined;
  readonly guidanceScale: number;
  readonly temperature: number;
}

export function divergence(inputs: DivergenceInputs): void {
  const { reference, other, token, first, sums, calls, kept, guidanceScale, temperature } = inputs;
  const [images = 0, places = 0] = sums.shape;
  const [rows = 0, vocabulary = 0] = reference.shape.slice(kept ? 1 : 0);
  const lanes = kept ? kept.count / images : 1;
  reference.expect('divergence: reference', [...(kept ? [places] : []), rows, vocabulary]);
  other.expect('divergence: other', [rows * lanes, vocabulary]);
  const constants = {
    ...{ IMAGES: images, LANES: lanes, KEPT: kept !== undefined, VOCABULARY: vocabulary, PLACES: places, FIRST: first },
    ...{ GUIDED: rows > images, SCALE: guidanceScale, TEMPERATURE: temperature },
  };
  reference.runtime.dispatch(kernel, { reference, other, token, sums, calls, kept: kept ?? token }, constants, [
    lanes,
    images,
  ]);
}

const kernel = /* @__PURE__ */ defineKernel(
  'divergence',
  {
    reference: 'read f32',
    other: 'read f32',
    token: 'read u32',
    kept: 'read u32',
    sums: 'write f32',
    calls: 'write u32',
  },
  `
const THREADS = 64u;
var<workgroup> parts: array<vec4f, THREADS>;
var<workgroup> places: array<vec2u, THREADS>;
fn guided(cond: f32, uncond: f32) -> f32 { return (uncond + (cond - uncond) * f32(SCALE)) / f32(TEMPERATURE); }
var<private> first: vec2u; // of the logits of this image and place, of both
fn both(v: u32) -> vec2f {
  let at = first + v;
  if (!GUIDED) { return vec2f(reference[at.x], other[at.y]) / f32(TEMPERATURE); }
  let without = at + vec2u(1, LANES) * (IMAGES * VOCABULARY);
  return vec2f(guided(reference[at.x], reference[without.x]), guided(other[at.y], other[without.y]));
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let image = group.y;
  let own = image * LANES + group.x;
  let place = select(calls[image], kept[own], KEPT);
  first = vec2u(select(image, place * select(1u, 2u, GUIDED) * IMAGES + image, KEPT), own) * VOCABULARY;
  var most = vec2f(-3.4e38);
  var likeliest = vec2u(0);
  for (var v = lane; v < VOCABULARY; v += THREADS) {
    let l = both(v);
    likeliest = select(likeliest, vec2u(v), l > most);
    most = max(most, l);
  }
  parts[lane] = vec4f(most, 0.0, 0.0);
  places[lane] = likeliest;
  workgroupBarrier();
  for (var i = 0u; i < THREADS; i++) {
    let theirs = parts[i].xy;
    // the lowest id among equals
    likeliest = select(likeliest, select(places[i], min(likeliest, places[i]), theirs == most), theirs >= most);
    most = max(most, theirs);
  }
  workgroupBarrier();
  var sum = vec4f(0.0); // of both weights, and of the reference's weights times the difference of exponents
  for (var v = lane; v < VOCABULARY; v += THREADS) {
    let l = both(v) - most;
    let w = exp(l);
    sum += vec4f(w, w.x * (l.x - l.y), 0.0);
  }
  parts[lane] = sum;
  workgroupBarrier();
  if (lane > 0 || place >= PLACES) { return; }
  for (var i = 1u; i < THREADS; i++) { sum += parts[i]; }
  let at = image * PLACES + place;
  let bits = (log(sum.xy) - (both(token[select(image, at, KEPT)] - FIRST) - most)) * 1.4426950408889634;
  sums[4u * at] = sum.z / sum.x - log(sum.x) + log(sum.y);
  sums[4u * at + 1u] = f32(likeliest.x == likeliest.y);
  sums[4u * at + 2u] = bits.x;
  sums[4u * at + 3u] = bits.y;
  if (!KEPT) { calls[image] += 1u; }
}`,
);
