/**
 * Widths on the GPU: kernels read 4 values at a time, and convolutions 8 channels, so other widths are padded with zeros.
 * A zero adds nothing to a sum, and what comes of a padded output is zero and meets zero weights.
 */

import { CHUNK } from '../../kernels/linear/weight.ts';
import { roundUp } from '../../tensor/shape.ts';
import type { MatrixSpec } from './weight-spec.ts';

/** Values that kernels read at a time. */
const VEC4 = 4;

export function paddedWidth(width: number): number {
  return roundUp(width, VEC4);
}

export function paddedChannels(channels: number): number {
  return roundUp(channels, CHUNK);
}

export function paddedMatrix({ inputs, outputs, step }: Pick<MatrixSpec, 'inputs' | 'outputs' | 'step'>) {
  return { inputs: paddedWidth(inputs), outputs: roundUp(outputs, step ?? 1) };
}

/**
 * A norm divides the sum of squares by the padded width C'. The gain, here, and the epsilon take that back:
 *
 *     sqrt(Σ / C + ε) = sqrt(C' / C) sqrt(Σ / C' + ε C / C')
 */
export function paddedGain(gain: Float32Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  const share = gain.length / paddedWidth(gain.length);
  return share === 1 ? gain : gain.map((value) => value * Math.sqrt(share));
}

export function paddedEpsilon(epsilon: number, width: number): number {
  return (epsilon * width) / paddedWidth(width);
}

/** Zeros behind each row. `rows` [n, width] → [n, padded] */
export function paddedRows(rows: Float32Array<ArrayBuffer>, width: number, padded: number): Float32Array<ArrayBuffer> {
  if (padded === width) return rows;
  const out = new Float32Array((rows.length / width) * padded);
  for (let row = 0; row * width < rows.length; row++)
    out.set(rows.subarray(row * width, (row + 1) * width), row * padded);
  return out;
}
