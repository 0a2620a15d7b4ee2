/**
 * Weights of 3 x 3 convolutions: a linear weight whose inputs are [tap][channel], tap = 3 · row + column, so that packing
 * and splitting are those of linear layers.
 */

import { ShapeError } from '../../tensor/errors.ts';
import type { Runtime } from '../../tensor/runtime.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { allocateLinear, CHUNK, type LinearWeight, packBlock, writeBlock } from '../linear/weight.ts';

/** Places of the input that one output sees. */
export const TAPS = 9;

export interface ConvWeight {
  /** Channels. */
  readonly inputs: number;
  readonly outputs: number;
  /** [outputs, TAPS · inputs]; owns the bias. */
  readonly matrix: LinearWeight;
  readonly bias: Tensor;
}

export interface ConvShape {
  readonly label: string;
  readonly inputs: number;
  readonly outputs: number;
  readonly dtype: 'f32' | 'f16';
  /** f32 [outputs] */
  readonly bias: Tensor;
}

/** Memory for a 3 x 3 convolution, to be filled block by block. Throws ShapeError unless 8 divides the inputs. */
export function allocateConv(runtime: Runtime, shape: ConvShape): ConvWeight {
  const { label, inputs, outputs, bias } = shape;
  if (inputs % CHUNK !== 0) throw new ShapeError(`${label}: expected channels that ${CHUNK} divides, got ${inputs}`);
  return { inputs, outputs, bias, matrix: allocateLinear(runtime, { ...shape, inputs: TAPS * inputs }) };
}

/** Writes outputs [32 · block, 32 · block + n). `rows` [n <= 32, inputs, 3, 3], the order of PyTorch. */
export function writeConvBlock(weight: ConvWeight, block: number, rows: Float32Array): void {
  const { inputs, matrix } = weight;
  const width = TAPS * inputs;
  const turned = new Float32Array(rows.length);
  for (let row = 0; row < rows.length; row += width) {
    for (let input = 0; input < inputs; input++) {
      for (let tap = 0; tap < TAPS; tap++) turned[row + tap * inputs + input] = rows[row + input * TAPS + tap]!;
    }
  }
  writeBlock(matrix, block, packBlock(turned, width));
}
