/** Values of a checkpoint's tensors by name and the shape they must have, a slice at a time. */

import { widen } from '../dtype.ts';
import { FormatError } from '../errors.ts';
import { count, describeShape, type Shape, sameShape } from '../shape.ts';
import type { Checkpoint, StoredDtype, StoredTensor } from './checkpoint.ts';

/** Bytes of a checkpoint that are on the CPU at a time, beside the GPU. */
const SLICE_BYTES = 8 * 2 ** 20;

export interface LoadOptions {
  /** Called after every slice. */
  readonly onProgress?: (progress: LoadProgress) => void;
  readonly signal?: AbortSignal;
}

/** How much of a checkpoint is on the GPU. */
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
  readonly #totalBytes: number;
  #loadedBytes = 0;

  /** `names` are the tensors that will be read, of which progress is told. Default: all. */
  constructor(
    readonly checkpoint: Checkpoint,
    private readonly options: LoadOptions = {},
    names: Iterable<string> = checkpoint.tensors.keys(),
  ) {
    this.#totalBytes = [...names].reduce((sum, name) => sum + (checkpoint.tensors.get(name)?.bytes ?? 0), 0);
  }

  /** All values of a tensor, for vectors and other small things. */
  async values(name: string, shape: Shape): Promise<Float32Array<ArrayBuffer>> {
    const parts = this.rows(name, [1, count(shape)], { shape });
    let all: Float32Array<ArrayBuffer> = new Float32Array();
    for await (const { values } of parts) all = values; // one slice: leaving early would not count it
    return all;
  }

  /** The rows of a matrix, a slice at a time. */
  async *rows(
    name: string,
    matrix: readonly [number, number],
    { shape = matrix, ...options }: RowsOptions = {},
  ): AsyncGenerator<{ readonly first: number; readonly values: Float32Array<ArrayBuffer> }> {
    const tensor = this.#expect(name, shape);
    const [rows, width] = matrix;
    for await (const { first, count, bytes } of this.#slices(tensor, rows, options)) {
      const values = widen(bytes, tensor.dtype, `${this.checkpoint.name}: ${name}`);
      if (values.length !== count * width)
        throw new FormatError(
          `${this.checkpoint.name}: ${name}: expected ${count * width} values, got ${values.length}`,
        );
      yield { first, values };
    }
  }

  /** The same rows as they are stored; `dtype`: of no other storage. */
  async *stored(
    name: string,
    shape: Shape,
    { dtype, ...options }: Omit<RowsOptions, 'shape'> & { readonly dtype?: StoredDtype } = {},
  ): AsyncGenerator<{ readonly first: number; readonly bytes: Uint8Array<ArrayBuffer> }> {
    const tensor = this.#expect(name, shape);
    if (dtype !== undefined && tensor.dtype !== dtype)
      throw new FormatError(`${this.checkpoint.name}: ${name}: expected a tensor of ${dtype}, got ${tensor.dtype}`);
    yield* this.#slices(tensor, shape[0] ?? 1, options);
  }

  async *#slices(
    tensor: StoredTensor,
    rows: number,
    { step = 1, from = 0, to = rows }: Omit<RowsOptions, 'shape'>,
  ): AsyncGenerator<{ readonly first: number; readonly count: number; readonly bytes: Uint8Array<ArrayBuffer> }> {
    const rowBytes = tensor.bytes / rows;
    const most = Math.max(1, Math.floor(SLICE_BYTES / rowBytes / step)) * step;
    for (let first = from; first < to; first += most) {
      this.options.signal?.throwIfAborted();
      const count = Math.min(most, to - first);
      const bytes = await tensor.read(first * rowBytes, count * rowBytes);
      yield { first, count, bytes };
      this.#loadedBytes += bytes.byteLength;
      const { name } = tensor;
      this.options.onProgress?.({ loadedBytes: this.#loadedBytes, totalBytes: this.#totalBytes, tensor: name });
    }
  }

  /** Throws FormatError when it is missing, or of another shape. */
  #expect(name: string, shape: Shape): StoredTensor {
    const tensor = this.checkpoint.tensors.get(name);
    if (tensor && sameShape(tensor.shape, shape)) return tensor;
    const got = tensor ? describeShape(tensor.shape) : 'none';
    throw new FormatError(`${this.checkpoint.name}: ${name}: expected ${describeShape(shape)}, got ${got}`);
  }
}
