/** Measures what quantising costs a family's layers, by walking the very functions that load them. No GPU is needed. */

import { blockBytes, isQuantised, LANES, type MatrixDtype } from '../kernels/linear-weight.ts';
import { dequantiseBlock, quantiseBlock } from '../kernels/quantise.ts';
import type { Weights } from '../tensor/weights.ts';
import { type LayerLoader, type LinearSource, layerDtype, layerName } from './layer-loader.ts';
import { matrixBlocks } from './matrix-blocks.ts';

/** A matrix as it lies on the GPU, stacked and paired, the norm's gain folded in: w, and ŵ that its numbers stand for. */
export interface LayerError {
  /** Of its first matrix. */
  readonly name: string;
  /** [outputs, inputs]; of both sides where it is paired. */
  readonly shape: readonly [number, number];
  /** f16 where the family keeps it in float; nothing is measured then. */
  readonly dtype: MatrixDtype;
  /** On the GPU, padding and scales included. */
  readonly bytes: number;
  /** Σ (w − ŵ)² and Σ w². */
  readonly errorSquares: number;
  readonly weightSquares: number;
  /** max |w − ŵ| and max |w|. */
  readonly largestError: number;
  readonly largestWeight: number;
}

/** Root of the mean square of w − ŵ over that of w, of one layer or of several together; 0 for zeros. */
export function relativeError(layers: readonly LayerError[]): number {
  const sum = (pick: (layer: LayerError) => number) => layers.reduce((total, layer) => total + pick(layer), 0);
  const squares = sum(({ weightSquares }) => weightSquares);
  return squares === 0 ? 0 : Math.sqrt(sum(({ errorSquares }) => errorSquares) / squares);
}

/** Largest |w − ŵ| over the largest |w|, of one layer or of several together; 0 for zeros. */
export function largestError(layers: readonly LayerError[]): number {
  const most = (pick: (layer: LayerError) => number) => layers.reduce((most, layer) => Math.max(most, pick(layer)), 0);
  const weight = most(({ largestWeight }) => largestWeight);
  return weight === 0 ? 0 : most((layer) => layer.largestError) / weight;
}

/** What a loader hands on and nobody looks into. */
const NOTHING = undefined as never;

export class ErrorLoader implements LayerLoader {
  readonly layers: LayerError[] = [];

  constructor(
    readonly weights: Weights,
    readonly dtype: MatrixDtype,
    readonly keptInFloat: readonly RegExp[] = [],
  ) {}

  async linear(source: LinearSource): Promise<never> {
    const { inputs, outputs, up } = source;
    const sides = up === undefined ? 1 : 2;
    const name = layerName(source);
    const dtype = layerDtype(name, this.dtype, this.keptInFloat);
    const bytes = sides * Math.ceil(outputs / LANES) * blockBytes(inputs, dtype);
    const sums = { errorSquares: 0, weightSquares: 0, largestError: 0, largestWeight: 0 };
    if (isQuantised(dtype)) {
      for await (const { values, place } of matrixBlocks(this.weights, source)) {
        const kept = dequantiseBlock(quantiseBlock(values, inputs, LANES, dtype, place), values.length, LANES, dtype);
        for (const [i, value] of values.entries()) {
          const error = value - kept[i]!;
          sums.errorSquares += error * error;
          sums.weightSquares += value * value;
          sums.largestError = Math.max(sums.largestError, Math.abs(error));
          sums.largestWeight = Math.max(sums.largestWeight, Math.abs(value));
        }
      }
    }
    this.layers.push({ name, shape: [sides * outputs, inputs], dtype, bytes, ...sums });
    return NOTHING;
  }

  async conv(): Promise<never> {
    return NOTHING;
  }

  async table(): Promise<never> {
    return NOTHING;
  }

  async vector(): Promise<never> {
    return NOTHING;
  }

  shape(name: string): readonly number[] | undefined {
    return this.weights.checkpoint.tensors.get(name)?.shape;
  }

  async values(): Promise<Float32Array<ArrayBuffer>> {
    return new Float32Array();
  }

  constant(): never {
    return NOTHING;
  }
}
