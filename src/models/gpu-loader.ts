/** From a checkpoint's tensors to layers on the GPU, a slice at a time. */

import { allocateConv, type ConvWeight, TAPS, writeConvBlock } from '../kernels/conv/weight.ts';
import { allocateTable, type EmbeddingTable, writeRows } from '../kernels/embedding.ts';
import {
  allocateLinear,
  floatDtype,
  LANES,
  type LinearWeight,
  type MatrixDtype,
  writeBlock,
} from '../kernels/linear/weight.ts';
import type { Weights } from '../tensor/checkpoint/weights.ts';
import type { Runtime } from '../tensor/runtime.ts';
import type { Tensor } from '../tensor/tensor.ts';
import {
  type ConvSource,
  type LayerLoader,
  type LinearSource,
  layerDtype,
  layerName,
  type TableSource,
} from './layer-loader.ts';
import { matrixBlocks } from './parts/matrix-blocks.ts';

/** Least length that a row is divided by: torch.nn.functional.normalize. */
const LEAST_LENGTH = 1e-12;

/** Owns everything loaded so far, so that a failure or `dispose` gives it all back. */
export class GpuLoader implements LayerLoader {
  readonly #owned: { dispose(): void }[] = [];

  constructor(
    readonly runtime: Runtime,
    readonly weights: Weights,
    /** Storage of matrices; vectors stay f32. */
    readonly dtype: MatrixDtype,
    /** Names of matrices that are not quantized. */
    readonly unquantized: readonly RegExp[] = [],
  ) {}

  async linear(source: LinearSource): Promise<LinearWeight> {
    const { inputs, outputs, up } = source;
    const bias = source.bias === undefined ? undefined : await this.vector(source.bias, outputs);
    const label = layerName(source);
    const dtype = layerDtype(label, this.dtype, this.unquantized);
    const shape = { label, inputs, outputs, paired: up !== undefined, dtype };
    const weight = this.#own(allocateLinear(this.runtime, bias ? { ...shape, bias } : shape));
    for await (const { index, values, place } of matrixBlocks(this.weights, source))
      writeBlock(weight, index, values, place);
    return weight;
  }

  async conv({ name, inputs, outputs }: ConvSource): Promise<ConvWeight> {
    const bias = await this.vector(`${name}.bias`, outputs);
    const weight = allocateConv(this.runtime, { label: name, inputs, outputs, dtype: floatDtype(this.dtype), bias });
    this.#own(weight.matrix);
    const width = TAPS * inputs;
    const slices = this.weights.rows(`${name}.weight`, [outputs, width], {
      shape: [outputs, inputs, 3, 3],
      step: LANES,
    });
    for await (const { first, values } of slices) {
      for (let row = 0; row * width < values.length; row += LANES) {
        writeConvBlock(weight, (first + row) / LANES, values.subarray(row * width, (row + LANES) * width));
      }
    }
    return weight;
  }

  async table({ name, count, width, precise, normalized }: TableSource): Promise<EmbeddingTable> {
    const dtype = precise ? 'f32' : floatDtype(this.dtype);
    const table = this.#own(allocateTable(this.runtime, { label: name, count, width, dtype }));
    for await (const { first, values } of this.weights.rows(name, [count, width])) {
      writeRows(table, first, normalized ? normalizeRows(values, width) : values);
    }
    return table;
  }

  async vector(name: string | readonly string[], width: number): Promise<Tensor> {
    const names = [name].flat();
    const values = new Float32Array(width);
    for (const [index, part] of names.entries()) {
      const length = width / names.length;
      values.set(await this.values(part, [length]), index * length);
    }
    return this.constant(names.join(' '), [width], () => values);
  }

  shape(name: string): readonly number[] | undefined {
    return this.weights.checkpoint.tensors.get(name)?.shape;
  }

  async values(name: string, shape: readonly number[]): Promise<Float32Array<ArrayBuffer>> {
    return await this.weights.values(name, shape);
  }

  constant(label: string, shape: readonly number[], values: () => Float32Array<ArrayBuffer>): Tensor {
    return this.#own(this.runtime.tensor(shape, 'f32', label, values()));
  }

  dispose(): void {
    for (const thing of this.#owned) thing.dispose();
  }

  #own<T extends { dispose(): void }>(thing: T): T {
    this.#owned.push(thing);
    return thing;
  }
}

/** Each row divided by its length. `rows` [n, width]. */
export function normalizeRows(rows: Float32Array, width: number): Float32Array<ArrayBuffer> {
  const out = new Float32Array(rows.length);
  for (let first = 0; first < rows.length; first += width) {
    const row = rows.subarray(first, first + width);
    const length = Math.max(LEAST_LENGTH, Math.hypot(...row));
    for (const [i, value] of row.entries()) out[first + i] = value / length;
  }
  return out;
}
