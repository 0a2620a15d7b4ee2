/** The tensors of a checkpoint by name: each is taken once with the shape it must have, and none may be left over. */

import { widen } from '../dtype.ts';
import { FormatError } from '../errors.ts';
import { count, describeShape, type Shape, sameShape } from '../shape.ts';
import type { Checkpoint, StoredTensor } from './checkpoint.ts';

/** Bytes of a checkpoint that are on the CPU at a time, beside the GPU. */
const SLICE_BYTES = 8 * 2 ** 20;

export interface LoadOptions {
  /** Called after every slice. */
  readonly onProgress?: (progress: LoadProgress) => void;
  readonly signal?: AbortSignal;
}

export interface LoadProgress {
  readonly loadedBytes: number;
  readonly totalBytes: number;
  readonly tensor: string;
}

export interface RowsOptions {
  /** The tensor's own shape where it is no matrix. */
  readonly shape?: Shape | undefined;
  /** Each slice but the last is a multiple of so many rows. */
  readonly step?: number;
  /** Only rows [from, to). Default: all. */
  readonly from?: number;
  readonly to?: number;
}

export class Weights {
  readonly #left: Set<string>;
  readonly #totalBytes: number;
  #loadedBytes = 0;

  /** `ignored` names tensors that the checkpoint may hold and inference does not need. */
  constructor(
    readonly checkpoint: Checkpoint,
    ignored: readonly RegExp[],
    private readonly options: LoadOptions = {},
  ) {
    const names = [...checkpoint.tensors.keys()].filter((name) => !ignored.some((pattern) => pattern.test(name)));
    this.#left = new Set(names);
    this.#totalBytes = names.reduce((sum, name) => sum + checkpoint.tensors.get(name)!.bytes, 0);
  }

  has(name: string): boolean {
    return this.checkpoint.tensors.has(name);
  }

  /** The tensor of that name. Throws FormatError when it is missing, or of another shape. */
  take(name: string, shape: Shape): StoredTensor {
    const tensor = this.checkpoint.tensors.get(name);
    if (!tensor) {
      throw new FormatError(
        `${this.checkpoint.name}: expected a tensor ${name} ${describeShape(shape)}, got none; is it a checkpoint of this model?`,
      );
    }
    if (!sameShape(tensor.shape, shape)) {
      throw new FormatError(
        `${this.checkpoint.name}: ${name}: expected ${describeShape(shape)}, got ${describeShape(tensor.shape)}`,
      );
    }
    this.#left.delete(name);
    return tensor;
  }

  /** All values of a tensor, for vectors and other small things. */
  async values(name: string, shape: Shape): Promise<Float32Array<ArrayBuffer>> {
    const parts = this.rows(name, [1, count(shape)], { shape });
    for await (const { values } of parts) return values;
    return new Float32Array();
  }

  /** The rows of a matrix, a slice at a time. */
  async *rows(
    name: string,
    matrix: readonly [number, number],
    { shape = matrix, step = 1, from = 0, to = matrix[0] }: RowsOptions = {},
  ): AsyncGenerator<{ readonly first: number; readonly values: Float32Array<ArrayBuffer> }> {
    const tensor = this.take(name, shape);
    const [rows, width] = matrix;
    const rowBytes = tensor.bytes / rows;
    const most = Math.max(1, Math.floor(SLICE_BYTES / rowBytes / step)) * step;
    for (let first = from; first < to; first += most) {
      this.options.signal?.throwIfAborted();
      const count = Math.min(most, to - first);
      const bytes = await tensor.read(first * rowBytes, count * rowBytes);
      const values = widen(bytes, tensor.dtype, `${this.checkpoint.name}: ${name}`);
      if (values.length !== count * width)
        throw new FormatError(
          `${this.checkpoint.name}: ${name}: expected ${count * width} values, got ${values.length}`,
        );
      yield { first, values };
      this.#loadedBytes += bytes.byteLength;
      this.options.onProgress?.({ loadedBytes: this.#loadedBytes, totalBytes: this.#totalBytes, tensor: name });
    }
  }

  /** Throws FormatError naming what was not taken: the checkpoint is of another model. */
  finish(): void {
    if (this.#left.size === 0) return;
    const names = [...this.#left];
    const shown = names.slice(0, 5).map((name) => `${name} ${describeShape(this.checkpoint.tensors.get(name)!.shape)}`);
    const more = names.length > 5 ? ` and ${names.length - 5} more` : '';
    throw new FormatError(
      `${this.checkpoint.name}: expected no other tensors, got ${shown.join(', ')}${more}; is it a checkpoint of this model?`,
    );
  }
}
