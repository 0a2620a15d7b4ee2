/**
 * Group norm of an image, over all pixels and the neighboring channels of a group.
 *
 *     y = (x − mean_g) / sqrt(variance_g + ε) · gain + bias, then with `swish` y · sigmoid(y)
 *
 * x, y [Y, X, C] f32; gain, bias [C]. Three kernels, whatever the bands of x: mean and squared deviation of each channel over a slab of pixels
 * (Welford), the slabs and channels of a group joined (Chan) into one factor and one offset a channel, and the map. So no
 * sum runs over more than a slab, and large images lose no precision to a large mean. Source: arXiv 1803.08494.
 */

import { ShapeError } from '../tensor/errors.ts';
import { defineKernel } from '../tensor/kernel.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { type BandedImage, type ImageSource, pieces } from './bands.ts';
import { pickSlab } from './slabs.ts';

export interface GroupNorm {
  /** f32 [C] */
  readonly gain: Tensor;
  readonly bias: Tensor;
  readonly groups: number;
  readonly epsilon: number;
}

const THREADS = 64;

/** The image x, normed when it is read. Throws ShapeError unless the groups, and 4, divide C. */
export function groupNorm(
  x: BandedImage,
  norm: GroupNorm,
  { swish = false }: { readonly swish?: boolean } = {},
): ImageSource {
  const { gain, bias, groups, epsilon } = norm;
  const { runtime, rows, columns, channels, bandRows } = x;
  if (channels === 0 || channels % groups !== 0 || channels % 4 !== 0) {
    throw new ShapeError(`${gain.label}: expected channels that 4 and ${groups} groups divide, got ${channels}`);
  }
  gain.expect(`${gain.label}: gain`, [channels]);
  bias.expect(`${gain.label}: bias`, [channels]);
  const pixels = rows * columns;
  const slab = pickSlab(pixels);
  const slabs = Math.ceil(pixels / slab);
  const threads = (count: number) => [Math.ceil((Math.ceil(count / slab) * channels) / 4 / THREADS)];
  const moments = runtime.result([slabs, channels, 2], 'f32', `${gain.label}: moments`);
  for (const { x: band, to, count } of pieces(x, 0, rows)) {
    const sizes = runtime.sizes([count * columns, channels, slab, (to * columns) / slab]);
    runtime.dispatch(momentsKernel, { x: band, sizes, moments }, {}, threads(count * columns));
  }
  const map = runtime.result([channels, 2], 'f32', `${gain.label}: map`);
  const sizes = runtime.sizes([pixels, channels, channels / groups, slab, slabs]);
  runtime.dispatch(joinKernel, { moments, sizes, gain, bias, map }, { EPSILON: epsilon }, [
    Math.ceil(channels / THREADS),
  ]);
  const window = (first: number, end: number) => {
    const y = runtime.result([end - first, columns, channels], 'f32', gain.label);
    for (const { x: band, from, to, count } of pieces(x, first, end)) {
      const sizes = runtime.sizes([count * columns, channels, slab, from * columns, to * columns]);
      runtime.dispatch(mapKernel, { x: band, sizes, map, y }, { SWISH: swish }, threads(count * columns));
    }
    return { tensor: y, top: first };
  };
  return { runtime, rows, columns, channels, bandRows, window };
}

const momentsKernel = /* @__PURE__ */ defineKernel(
  'groupNorm.moments',
  { x: 'read vec4f', sizes: 'uniform Sizes', moments: 'write vec4f' },
  `
/** \`pixels\` of the band, of \`slab\` pixels each; \`first\` is its first slab. */
struct Sizes { pixels: u32, channels: u32, slab: u32, first: u32 }
@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) at: vec3u) {
  let vec4s = sizes.channels / 4u;
  let vector = at.x % vec4s;
  let slab = at.x / vec4s;
  if (slab * sizes.slab >= sizes.pixels) { return; }
  let count = min(sizes.slab, sizes.pixels - slab * sizes.slab);
  var mean = vec4f();
  var squares = vec4f();
  for (var i = 0u; i < count; i++) {
    let v = x[(slab * sizes.slab + i) * vec4s + vector];
    let delta = v - mean;
    mean += delta * (1.0 / f32(i + 1u));
    squares += delta * (v - mean);
  }
  let place = ((sizes.first + slab) * vec4s + vector) * 2u;
  moments[place] = vec4f(mean.x, squares.x, mean.y, squares.y);
  moments[place + 1u] = vec4f(mean.z, squares.z, mean.w, squares.w);
}`,
);

const joinKernel = /* @__PURE__ */ defineKernel(
  'groupNorm.join',
  { moments: 'read vec2f', sizes: 'uniform Sizes', gain: 'read f32', bias: 'read f32', map: 'write vec2f' },
  `
/** \`width\`: channels of a group; \`slab\`: pixels of a slab. */
struct Sizes { pixels: u32, channels: u32, width: u32, slab: u32, slabs: u32 }
@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) at: vec3u) {
  let channel = at.x;
  if (channel >= sizes.channels) { return; }
  let first = channel / sizes.width * sizes.width;
  var count = 0.0;
  var mean = 0.0;
  var squares = 0.0;
  for (var slab = 0u; slab < sizes.slabs; slab++) {
    let more = f32(min(sizes.slab, sizes.pixels - slab * sizes.slab));
    for (var c = 0u; c < sizes.width; c++) {
      let part = moments[slab * sizes.channels + first + c];
      let total = count + more;
      let delta = part.x - mean;
      mean += delta * (more / total);
      squares += part.y + delta * delta * (count * more / total);
      count = total;
    }
  }
  let factor = gain[channel] * inverseSqrt(squares / count + EPSILON);
  map[channel] = vec2f(factor, bias[channel] - mean * factor);
}`,
);

const mapKernel = /* @__PURE__ */ defineKernel(
  'groupNorm.map',
  { x: 'read vec4f', sizes: 'uniform Sizes', map: 'read vec4f', y: 'write vec4f' },
  `
/** \`pixels\` from pixel \`start\` of x on, to pixel \`place\` of y, \`slab\` of them in a thread. */
struct Sizes { pixels: u32, channels: u32, slab: u32, start: u32, place: u32 }
@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) at: vec3u) {
  let vec4s = sizes.channels / 4u;
  let vector = at.x % vec4s;
  let slab = at.x / vec4s;
  if (slab * sizes.slab >= sizes.pixels) { return; }
  let a = map[2u * vector];
  let b = map[2u * vector + 1u];
  let factor = vec4f(a.x, a.z, b.x, b.z);
  let offset = vec4f(a.y, a.w, b.y, b.w);
  for (var pixel = slab * sizes.slab; pixel < min((slab + 1u) * sizes.slab, sizes.pixels); pixel++) {
    var v = x[(sizes.start + pixel) * vec4s + vector] * factor + offset;
    if (SWISH) { v = v / (1.0 + exp(-v)); }
    y[(sizes.place + pixel) * vec4s + vector] = v;
  }
}`,
);
