/**
 * Full attention of one head: every pixel attends to every other.
 *
 *     y[p] = Σ_s softmax_s(q_p · k_s / √C) v_s        qkv [P, 3 C]: q, then k, then v   y [P, C]
 *
 * Three kernels: all products q · k, their softmax, and the sums of v. The products are kept as [s][p], so that threads of
 * neighboring pixels read and write neighboring addresses, without workgroup memory or barriers. They take 4 P² bytes with
 * P rounded up to whole tiles; what the last tile computes beyond P is never read.
 */

import { ShapeError } from '../../tensor/errors.ts';
import { defineKernel, unroll } from '../../tensor/kernel.ts';
import { describeShape, roundUp } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';

const THREADS = 32;
/** Keys of a tile of the first kernel, queries of one of the last. */
const TILE = 8;
/** Queries that a thread of the first kernel owns. */
const OWN = 2;

/** qkv [P, 3 C] f32 → [P, C] f32. Throws ShapeError unless 4 divides C. */
export function attention(qkv: Tensor, label: string): Tensor {
  const [places, width] = qkv.matrix(`${label}: qkv`);
  const { runtime } = qkv;
  const channels = width / 3;
  if (channels % 4 !== 0)
    throw new ShapeError(`${label}: expected qkv [P, 3 C] where 4 divides C, got ${describeShape(qkv.shape)}`);
  const padded = roundUp(places, THREADS * OWN);
  const constants = { VEC4S: channels / 4 };
  const sizes = runtime.sizes([places, padded]);
  const products = runtime.result([padded, padded], 'f32', `${label}: products`);
  runtime.dispatch(productsKernel, { qkv, sizes, products }, constants, [padded / THREADS / OWN, padded / TILE]);
  const sums = runtime.result([padded], 'f32', `${label}: sums`);
  const factor = { FACTOR: 1 / Math.sqrt(channels) };
  runtime.dispatch(softmaxKernel, { products, sizes, sums }, factor, [padded / THREADS]);
  const y = runtime.result([places, channels], 'f32', label);
  runtime.dispatch(valuesKernel, { qkv, sizes, products, sums, y }, constants, [
    Math.ceil(channels / 4 / THREADS),
    Math.ceil(places / TILE),
  ]);
  return y;
}

const SIZES = 'struct Sizes { places: u32, padded: u32 }';

const own = (piece: (i: number) => string) => unroll(OWN, piece);
const tile = (piece: (i: number) => string) => unroll(TILE, piece);

const productsKernel = /* @__PURE__ */ defineKernel(
  'attention.products',
  { qkv: 'read vec4f', sizes: 'uniform Sizes', products: 'write f32' },
  () => `
${SIZES}
@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let key0 = group.y * ${TILE}u;
  let query0 = group.x * ${THREADS * OWN}u + lane;
  ${tile((k) => `let k${k} = (min(key0 + ${k}u, sizes.places - 1u) * 3u + 1u) * VEC4S;`)}
  ${own((q) => `let q${q} = min(query0 + ${q * THREADS}u, sizes.places - 1u) * 3u * VEC4S;`)}
  ${own((q) => tile((k) => `var s${q}_${k} = 0.0;`))}
  for (var c = 0u; c < VEC4S; c++) {
    ${own((q) => `let query${q} = qkv[q${q} + c];`)}
    ${tile((k) => `{ let key = qkv[k${k} + c]; ${own((q) => `s${q}_${k} += dot(query${q}, key);`)} }`)}
  }
  ${own((q) => tile((k) => `products[(key0 + ${k}u) * sizes.padded + query0 + ${q * THREADS}u] = s${q}_${k};`))}
}`,
);

/** Replaces the products by exp((product − largest) / √C) and sums these; the last kernel divides by the sums. */
const softmaxKernel = /* @__PURE__ */ defineKernel(
  'attention.softmax',
  { products: 'write f32', sizes: 'uniform Sizes', sums: 'write f32' },
  `
${SIZES}
@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) at: vec3u) {
  let query = at.x;
  var largest = products[query];
  for (var key = 1u; key < sizes.places; key++) { largest = max(largest, products[key * sizes.padded + query]); }
  var sum = 0.0;
  for (var key = 0u; key < sizes.places; key++) {
    let e = exp((products[key * sizes.padded + query] - largest) * FACTOR);
    products[key * sizes.padded + query] = e;
    sum += e;
  }
  sums[query] = sum;
}`,
);

const valuesKernel = /* @__PURE__ */ defineKernel(
  'attention.values',
  { qkv: 'read vec4f', sizes: 'uniform Sizes', products: 'read vec4f', sums: 'read f32', y: 'write vec4f' },
  () => `
${SIZES}
@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) at: vec3u) {
  let query0 = at.y * ${TILE}u;
  let vector = at.x;
  if (vector >= VEC4S) { return; }
  ${tile((q) => `var s${q} = vec4f();`)}
  for (var key = 0u; key < sizes.places; key++) {
    let v = qkv[(key * 3u + 2u) * VEC4S + vector];
    let place = (key * sizes.padded + query0) / 4u;
    ${unroll(TILE / 4, (i) => `let p${i} = products[place + ${i}u];`)}
    ${tile((q) => `s${q} += v * p${q >> 2}.${'xyzw'[q & 3]};`)}
  }
  ${tile((q) => `if (query0 + ${q}u < sizes.places) { y[(query0 + ${q}u) * VEC4S + vector] = s${q} / sums[query0 + ${q}u]; }`)}
}`,
);
