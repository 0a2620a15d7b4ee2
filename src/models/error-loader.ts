/** What quantising a checkpoint would cost: the error of every matrix that a family lets be quantised. No GPU is needed. */

import { LANES, packBlock } from '../kernels/linear-weight.ts';
import { dequantiseBlock, type QuantisedDtype, quantiseBlock } from '../kernels/quantise.ts';
import type { Weights } from '../tensor/weights.ts';
import {
  type ConvSource,
  type LayerLoader,
  type LinearSource,
  layerDtype,
  stackedMatrices,
  type TableSource,
} from './layer-loader.ts';

export interface LayerError {
  readonly name: string;
  /** Root of the mean square of (w − dequantised) over that of w, the gain before the layer folded in. */
  readonly relative: number;
  /** Largest |w − dequantised|. */
  readonly largest: number;
}

const NOTHING = undefined as never;

/** Walks a family's layers like the loaders that keep them. */
export class ErrorLoader implements LayerLoader {
  readonly errors: LayerError[] = [];

  constructor(
    readonly weights: Weights,
    readonly dtype: QuantisedDtype,
    readonly keptInFloat: readonly RegExp[],
  ) {}

  async linear(source: LinearSource): Promise<never> {
    const { inputs, outputs, gain, up, bias, shape, rows } = source;
    const matrices = stackedMatrices(source);
    const gains = gain === undefined ? undefined : await this.values(gain, [inputs]);
    const isKept = layerDtype(matrices[0]![0], this.dtype, this.keptInFloat) !== this.dtype;
    for (const [name, height] of up === undefined ? matrices : [...matrices, [up, outputs] as const]) {
      if (isKept) this.weights.take(name, shape ?? [height, inputs]);
      else {
        const range = rows && { from: rows.first, to: rows.first + outputs };
        const slices = this.weights.rows(name, [height, inputs], { shape, step: LANES, ...range });
        this.errors.push(await matrixError(name, slices, inputs, this.dtype, gains));
      }
    }
    if (bias !== undefined) for (const one of [bias].flat()) this.weights.take(one, this.shape(one) ?? []);
    return NOTHING;
  }

  async conv({ name, inputs, outputs }: ConvSource): Promise<never> {
    this.weights.take(`${name}.weight`, [outputs, inputs, 3, 3]);
    return await this.vector(`${name}.bias`, outputs);
  }

  async table({ name, count, width }: TableSource): Promise<never> {
    this.weights.take(name, [count, width]);
    return NOTHING;
  }

  async vector(name: string | readonly string[], width: number): Promise<never> {
    const names = [name].flat();
    for (const part of names) this.weights.take(part, [width / names.length]);
    return NOTHING;
  }

  shape(name: string): readonly number[] | undefined {
    return this.weights.checkpoint.tensors.get(name)?.shape;
  }

  async values(name: string, shape: readonly number[]): Promise<Float32Array<ArrayBuffer>> {
    return await this.weights.values(name, shape);
  }

  constant(): never {
    return NOTHING;
  }
}

async function matrixError(
  name: string,
  slices: AsyncIterable<{ readonly values: Float32Array }>,
  inputs: number,
  dtype: QuantisedDtype,
  gain: Float32Array | undefined,
): Promise<LayerError> {
  let [lost, all, largest] = [0, 0, 0];
  for await (const { values } of slices) {
    for (let at = 0; at < values.length; at += LANES * inputs) {
      const block = packBlock(values.subarray(at, at + LANES * inputs), inputs, gain);
      const kept = dequantiseBlock(quantiseBlock(block, inputs, LANES, dtype, name), block.length, LANES, dtype);
      for (let i = 0; i < block.length; i++) {
        const error = Math.abs(block[i]! - kept[i]!);
        lost += error * error;
        all += block[i]! * block[i]!;
        largest = Math.max(largest, error);
      }
    }
  }
  return { name, relative: all === 0 ? 0 : Math.sqrt(lost / all), largest };
}
