/** Measures what quantizing costs a family's matrices, by walking the very functions that load them. No GPU is needed. */

import { dequantizeBlock, type QuantizedDtype, quantizeBlock } from '../kernels/linear/quantize.ts';
import { blockBytes, isQuantized, LANES, type MatrixDtype } from '../kernels/linear/weight.ts';
import type { Weights } from '../tensor/checkpoint/weights.ts';
import { type LayerLoader, type LinearSource, layerDtype, layerName, stackedMatrices } from './layer-loader.ts';
import { matrixBlocks } from './parts/matrix-blocks.ts';

/** A matrix of the checkpoint, the gain of the norm before it folded in: w, and ŵ that its whole numbers stand for. */
export interface MatrixError {
  readonly name: string;
  /** [outputs, inputs] */
  readonly shape: readonly [number, number];
  /** f16 where the family keeps it in float: nothing is measured then. */
  readonly dtype: MatrixDtype;
  /** On the GPU, if it stood alone: padding and scales included. */
  readonly bytes: number;
  /** Σ (w − ŵ)² and Σ w². */
  readonly errorSquares: number;
  readonly weightSquares: number;
  /** max |w − ŵ| */
  readonly largest: number;
}

/** Root of the mean square of w − ŵ over that of w, of one matrix or of several together; 0 for zeros. */
export function relativeError(matrices: readonly MatrixError[]): number {
  const sum = (pick: (matrix: MatrixError) => number) => matrices.reduce((total, matrix) => total + pick(matrix), 0);
  const squares = sum(({ weightSquares }) => weightSquares);
  return squares === 0 ? 0 : Math.sqrt(sum(({ errorSquares }) => errorSquares) / squares);
}

/** What a loader hands on and nobody looks into. */
const NOTHING = undefined as never;

export class ErrorLoader implements LayerLoader {
  readonly matrices: MatrixError[] = [];

  constructor(
    readonly weights: Weights,
    readonly dtype: QuantizedDtype,
    readonly unquantized: readonly RegExp[] = [],
  ) {}

  async linear(source: LinearSource): Promise<never> {
    const { inputs, outputs, up, rows, gain, shape } = source;
    const dtype = layerDtype(layerName(source), this.dtype, this.unquantized);
    const second = up === undefined ? [] : [[up, outputs] as const];
    for (const [name, height] of [...stackedMatrices(source), ...second]) {
      const part = rows ? { outputs, rows } : { outputs: height };
      const alone = { name, inputs, ...part, ...(gain !== undefined && { gain }), ...(shape && { shape }) };
      const sums = isQuantized(dtype) ? await this.#measure(alone, dtype) : UNMEASURED;
      const bytes = Math.ceil(part.outputs / LANES) * blockBytes(inputs, dtype);
      this.matrices.push({ name, shape: [part.outputs, inputs], dtype, bytes, ...sums });
    }
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

  async #measure({ inputs, ...source }: LinearSource, dtype: QuantizedDtype): Promise<typeof UNMEASURED> {
    let [errorSquares, weightSquares, largest] = [0, 0, 0];
    for await (const { values, place } of matrixBlocks(this.weights, { inputs, ...source })) {
      const kept = dequantizeBlock(quantizeBlock(values, inputs, LANES, dtype, place), values.length, LANES, dtype);
      for (let i = 0; i < values.length; i++) {
        const error = values[i]! - kept[i]!;
        errorSquares += error * error;
        weightSquares += values[i]! * values[i]!;
        largest = Math.max(largest, Math.abs(error));
      }
    }
    return { errorSquares, weightSquares, largest };
  }
}

const UNMEASURED = { errorSquares: 0, weightSquares: 0, largest: 0 };
