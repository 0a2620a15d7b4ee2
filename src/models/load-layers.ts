/** From a checkpoint's tensors to layers on the GPU, a slice at a time. */

import { allocateTable, type EmbeddingTable, writeRows } from '../kernels/embedding.ts';
import { allocateLinear, LANES, type LinearWeight, packBlock, writeBlock } from '../kernels/linear-weight.ts';
import type { Dtype } from '../tensor/dtype.ts';
import { ShapeError } from '../tensor/errors.ts';
import type { Runtime } from '../tensor/runtime.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { Weights } from '../tensor/weights.ts';

export interface LinearSource {
  /** Several: matrices of one shape, stacked in this order, such as q, k and v. */
  readonly name: string | readonly string[];
  readonly inputs: number;
  /** Of all matrices together. */
  readonly outputs: number;
  /** Name of the norm's gain to fold in. */
  readonly gain?: string;
  /** Name of a second matrix of the same shape: `name` is the gate, this the up projection. */
  readonly up?: string;
  /** As many as there are names. */
  readonly bias?: string | readonly string[];
  /** The checkpoint's own shape of one matrix, where it is not [outputs, inputs] (1 x 1 convolutions). */
  readonly shape?: readonly number[];
}

/** Everything loaded so far, so that a failure or `dispose` gives it all back. */
export class LayerLoader {
  readonly #owned: { dispose(): void }[] = [];

  constructor(
    readonly runtime: Runtime,
    readonly weights: Weights,
    /** Storage of matrices; vectors stay f32. */
    readonly dtype: Dtype,
  ) {}

  async linear(source: LinearSource): Promise<LinearWeight> {
    const { inputs, outputs, up } = source;
    const names = [source.name].flat();
    const [label = ''] = names;
    const height = outputs / names.length;
    if (names.length > 1 && height % LANES !== 0)
      throw new ShapeError(`${label}: expected stacked matrices of whole blocks of ${LANES} outputs, got ${height}`);
    const gain = source.gain === undefined ? undefined : await this.weights.values(source.gain, [inputs]);
    const bias = source.bias === undefined ? undefined : await this.vector(source.bias, outputs);
    const shape = { label, inputs, outputs, paired: up !== undefined, dtype: this.dtype };
    const weight = this.own(allocateLinear(this.runtime, bias ? { ...shape, bias } : shape));
    for (const [index, matrix] of (up === undefined ? names : [...names, up]).entries()) {
      for await (const { first, values } of this.weights.rows(matrix, [height, inputs], source.shape, LANES)) {
        for (let row = 0; row * inputs < values.length; row += LANES) {
          const block = (first + row) / LANES;
          const packed = packBlock(values.subarray(row * inputs, (row + LANES) * inputs), inputs, gain);
          writeBlock(weight, up === undefined ? (index * height) / LANES + block : 2 * block + index, packed);
        }
      }
    }
    return weight;
  }

  async table(name: string, count: number, width: number): Promise<EmbeddingTable> {
    const table = this.own(allocateTable(this.runtime, { label: name, count, width, dtype: this.dtype }));
    for await (const { first, values } of this.weights.rows(name, [count, width])) writeRows(table, first, values);
    return table;
  }

  /** Several names: equal parts of one vector of `width` values. */
  async vector(name: string | readonly string[], width: number): Promise<Tensor> {
    const names = [name].flat();
    const values = new Float32Array(width);
    for (const [index, part] of names.entries()) {
      const length = width / names.length;
      values.set(await this.weights.values(part, [length]), index * length);
    }
    return this.own(this.runtime.tensor([width], 'f32', names.join(' '), values));
  }

  /** A tensor made by the caller becomes one of the model's. */
  own<T extends { dispose(): void }>(thing: T): T {
    this.#owned.push(thing);
    return thing;
  }

  dispose(): void {
    for (const thing of this.#owned) thing.dispose();
  }
}
