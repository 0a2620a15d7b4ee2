/**
 * Images [Y, X, C] in bands of whole rows, each a tensor of its own: an image may be larger than a binding, and a band's
 * memory serves again as soon as nothing reads it any more.
 *
 * An operation that needs rows beyond a band, as a 3 x 3 convolution does, asks for a window: those rows in one tensor.
 * Windows are recorded when they are asked for, one after another, so that only one of them has memory at a time.
 */

import { ShapeError } from '../tensor/errors.ts';
import { defineKernel } from '../tensor/kernel.ts';
import { describeShape } from '../tensor/shape.ts';
import type { Tensor, TensorHost } from '../tensor/tensor.ts';

/** Rows [top, ...) of an image, [rows, X, C]. */
export interface Window {
  readonly tensor: Tensor;
  readonly top: number;
}

/** What can be read as an image, window by window. */
export interface ImageSource {
  readonly runtime: TensorHost;
  readonly rows: number;
  readonly columns: number;
  readonly channels: number;
  /** Rows of a window, but for a few more at its edges, that fit into a binding. */
  readonly bandRows: number;
  /** Holds rows [first, end) at least. */
  window(first: number, end: number): Window;
}

export interface BandedImage extends ImageSource {
  /** Band b holds rows [b · bandRows, ...) f32. */
  readonly bands: readonly Tensor[];
}

export interface ImageShape {
  readonly rows: number;
  readonly columns: number;
  readonly channels: number;
  readonly bandRows: number;
}

/** An image that the program being recorded makes. */
export function makeImage(runtime: TensorHost, shape: ImageShape, label: string): BandedImage {
  const { rows, columns, channels, bandRows } = shape;
  const bands = Array.from({ length: Math.ceil(rows / bandRows) }, (_, band) =>
    runtime.result([Math.min(bandRows, rows - band * bandRows), columns, channels], 'f32', label),
  );
  return banded(runtime, shape, bands);
}

/** Tensors [Y, X, C] as the bands of an image, or one as all of it. Throws ShapeError unless they fit together. */
export function asImage(first: Tensor, ...more: readonly Tensor[]): BandedImage {
  const [bandRows, columns, channels] = first.shape;
  if (bandRows === undefined || columns === undefined || channels === undefined || first.shape.length !== 3) {
    throw new ShapeError(`${first.label}: expected an image [Y, X, C], got ${describeShape(first.shape)}`);
  }
  for (const [i, band] of more.entries()) {
    const rows = i < more.length - 1 ? bandRows : Math.min(bandRows, band.count / columns / channels);
    band.expect(`${band.label}: band`, [rows, columns, channels]);
  }
  const rows = (first.count + more.reduce((sum, { count }) => sum + count, 0)) / columns / channels;
  return banded(first.runtime, { rows, columns, channels, bandRows }, [first, ...more]);
}

/** All rows in one tensor, [Y, X, C]: the image's own where it has one band. */
export function whole(image: ImageSource): Tensor {
  return image.window(0, image.rows).tensor;
}

/** Bands of the same rows, each made of the one of `image`. */
export function mapBands(image: BandedImage, channels: number, map: (band: Tensor) => Tensor): BandedImage {
  return banded(image.runtime, { ...image, channels }, image.bands.map(map));
}

function banded(
  runtime: TensorHost,
  { rows, columns, channels, bandRows }: ImageShape,
  bands: readonly Tensor[],
): BandedImage {
  const image = { runtime, rows, columns, channels, bandRows, bands };
  return { ...image, window: (first, end) => windowOf(image, first, end) };
}

function windowOf(image: Omit<BandedImage, 'window'>, first: number, end: number): Window {
  const { runtime, columns, channels, bandRows, bands } = image;
  const band = Math.floor(first / bandRows);
  const top = band * bandRows;
  if (end <= top + bandRows || bands.length === 1) return { tensor: bands[band]!, top }; // rows of the image
  const row = columns * channels;
  const tensor = runtime.result([end - first, columns, channels], 'f32', `${bands[0]!.label}: window`);
  for (const { x, from, to, count } of pieces(image, first, end)) {
    const sizes = runtime.sizes([from * row, to * row, count * row]);
    const groups = Math.min(MOST_GROUPS, Math.ceil((count * row) / THREADS));
    runtime.dispatch(copyKernel, { x, sizes, y: tensor }, {}, [groups]);
  }
  return { tensor, top: first };
}

/** What lies of rows [first, end) in each band: `count` rows from row `from` of the band on, row `to` of a window. */
export function* pieces(
  { rows, bandRows, bands }: Pick<BandedImage, 'rows' | 'bandRows' | 'bands'>,
  first: number,
  end: number,
): Generator<{ readonly x: Tensor; readonly from: number; readonly to: number; readonly count: number }> {
  for (const [band, x] of bands.entries()) {
    const top = band * bandRows;
    const start = Math.max(first, top);
    const count = Math.min(end, top + bandRows, rows) - start;
    if (count > 0) yield { x, from: start - top, to: start - first, count };
  }
}

const THREADS = 64;
/** Of a dispatch: WebGPU's default limit. */
const MOST_GROUPS = 65535;

const copyKernel = /* @__PURE__ */ defineKernel(
  'copyRows',
  { x: 'read f32', sizes: 'uniform Sizes', y: 'write f32' },
  `
struct Sizes { start: u32, place: u32, count: u32 }
@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) at: vec3u, @builtin(num_workgroups) groups: vec3u) {
  for (var i = at.x; i < sizes.count; i += groups.x * ${THREADS}u) { y[sizes.place + i] = x[sizes.start + i]; }
}`,
);
