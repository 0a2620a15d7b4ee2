/**
 * 3 x 3 convolution with a border of zeros, with what stands around it in a decoder: the doubling of the image before,
 * the residual after.
 *
 *     y[v, u, o] = b[o] + Σ_{i, j, c} W[o, i, j, c] · z[v + i − 1, u + j − 1, c] + residual[v, u, o]
 *
 * z is x, or with `upsample` x[floor(v / 2), floor(u / 2)]. Images are [Y, X, C], so that a 1 x 1 convolution is `linear`
 * on [Y · X, C]. Sums in f32, in the order that `wgsl.ts` states for all variants: y depends neither on which is chosen,
 * nor on the bands.
 */

import { ShapeError } from '../../tensor/errors.ts';
import { describeShape } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { type BandedImage, type ImageSource, makeImage, type Window } from '../bands.ts';
import { CHUNK, LANES } from '../linear/weight.ts';
import { candidates } from './variants/index.ts';
import type { ConvProblem } from './variants/variant.ts';
import type { ConvWeight } from './weight.ts';

export interface ConvOptions {
  /** Doubles height and width first, each pixel becoming four. @defaultValue false */
  readonly upsample?: boolean;
  /** Of the shape and the bands of y, added last. */
  readonly residual?: BandedImage;
  /** Rows of a band of y. @defaultValue as many as x has, twice as many with `upsample` */
  readonly bandRows?: number;
}

/** x [Y, X, I] f32 → [Y, X, O] f32, both sides doubled with `upsample`. Throws ShapeError when the channels differ. */
export function conv(x: ImageSource, weight: ConvWeight, options: ConvOptions = {}): BandedImage {
  const { runtime, rows, columns, channels } = x;
  const { label } = weight.matrix;
  if (channels !== weight.inputs) {
    const got = describeShape([rows, columns, channels]);
    throw new ShapeError(`${label}: expected x [Y, X, ${weight.inputs}], got ${got}`);
  }
  const scale = options.upsample ? 2 : 1;
  const { bandRows = scale * x.bandRows, residual } = options;
  const shape = { rows: scale * rows, columns: scale * columns, channels: weight.outputs, bandRows };
  const y = makeImage(runtime, shape, label);
  for (const [b, band] of y.bands.entries()) {
    residual?.bands[b]?.expect(`${label}: residual`, band.shape);
    const top = b * bandRows;
    const end = Math.min(top + bandRows, y.rows);
    // a window of x may hold fewer rows than a band of y
    const most = Math.min(bandRows, scale * x.bandRows);
    for (let first = top; first < end; first += most) {
      const count = Math.min(most, end - first);
      const above = Math.max(0, Math.floor((first - 1) / scale));
      const below = Math.min(rows, Math.floor((first + count) / scale) + 1);
      const window = x.window(above, below);
      convRows(x, weight, { window, scale, first, count, top, y: band, residual: residual?.bands[b] });
    }
  }
  return y;
}

interface ConvRows {
  readonly window: Window;
  readonly scale: number;
  /** Rows of the image to make, and the first row of the band that they are part of. */
  readonly first: number;
  readonly count: number;
  readonly top: number;
  readonly y: Tensor;
  readonly residual: Tensor | undefined;
}

function convRows({ runtime, rows, columns }: ImageSource, weight: ConvWeight, part: ConvRows): void {
  const { matrix, inputs, outputs, bias } = weight;
  const { window, scale, first, count, top, y, residual } = part;
  const constants = { SCALE: scale };
  const place = [rows, columns, window.top, first, top];
  for (const { tensor: w, firstBlock, blocks } of matrix.parts) {
    const output = firstBlock * LANES;
    const width = Math.min(blocks * LANES, outputs - output);
    const sizes = runtime.sizes([...place, inputs / CHUNK, outputs, output, width, residual ? 1 : 0]);
    const tensors = { x: window.tensor, w, sizes, bias, residual: residual ?? bias, y };
    const problem = {
      rows: count,
      columns: scale * columns,
      inputs,
      width,
      upsample: scale === 2,
      dtype: w.dtype as 'f32' | 'f16', // of floats
    };
    const ways = candidates(problem, runtime.traits).map(({ name, variant, tile }) => ({
      name,
      kernel: variant.kernel,
      tensors,
      constants: { ...constants, ...tile },
      workgroups: [
        Math.ceil(width / (tile.UNITS * tile.WIDTH)),
        Math.ceil(problem.columns / (tile.PIXELS * tile.GROUP)),
        count,
      ],
    }));
    runtime.dispatchBest(problemName(problem), ways);
  }
}

/** Problems of one name are tuned as one: pixels in steps, since images have any size. */
function problemName({ rows, columns, inputs, width, upsample, dtype }: ConvProblem): string {
  const pixels = 2 ** Math.ceil(Math.log2(rows * columns));
  return `conv ${dtype} ${inputs} -> ${width}${upsample ? ' doubled' : ''}, ${pixels} pixels`;
}
