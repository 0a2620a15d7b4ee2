/** A number of elements of one dtype, row major and contiguous, in a GPU buffer. */

import type { DriverKind } from './device/adapter.ts';
import { type Dtype, ELEMENT_BYTES, fromHalf, storedBytes, toHalf } from './dtype.ts';
import { DisposedError, ShapeError } from './errors.ts';
import type { Constants, Kernel } from './kernel.ts';
import type { Region } from './memory.ts';
import { count, describeShape, expectShape, roundUp, type Shape } from './shape.ts';
import type { AdapterTraits } from './traits.ts';

/** One way to do a piece of work. All candidates for it read and write the same tensors, and give the same result. */
export interface Candidate {
  readonly name: string;
  readonly kernel: Kernel;
  readonly tensors: Readonly<Record<string, Tensor>>;
  readonly constants: Constants;
  readonly workgroups: readonly number[];
}

/** What a tensor, and a kernel that is given one, asks of the runtime. `Runtime` is the one there is. */
export interface TensorHost {
  readonly device: GPUDevice;
  readonly maxBindingBytes: number;
  readonly isSoftware: boolean;
  readonly kind: DriverKind;
  readonly traits: AdapterTraits;
  result(shape: Shape, dtype: Dtype, label: string): Tensor;
  sizes(numbers: readonly number[]): Tensor;
  dispatch(
    kernel: Kernel,
    tensors: Readonly<Record<string, Tensor>>,
    constants: Constants,
    workgroups: readonly number[],
  ): void;
  dispatchBest(problem: string, candidates: readonly Candidate[]): void;
  allocate(region: Region, label: string): GPUBuffer;
  upload(tensor: Tensor, offset: number, data: ArrayBufferView<ArrayBuffer>): void;
  download(tensor: Tensor, bytes: number): Promise<ArrayBuffer>;
  free(region: Region): void;
}

/**
 * A shape and a dtype over a region of GPU memory. `Runtime.tensor` makes one.
 *
 * @example
 * using tensor = runtime.tensor([2, 2], 'f32', 'numbers', Float32Array.of(1, 2, 3, 4));
 * console.log(await tensor.read()); // Float32Array [1, 2, 3, 4]
 */
export class Tensor {
  constructor(
    readonly runtime: TensorHost,
    readonly shape: Shape,
    readonly dtype: Dtype,
    readonly region: Region,
    readonly label: string,
  ) {}

  /** Number of elements. */
  get count(): number {
    return count(this.shape);
  }

  /** Bytes held on the GPU. */
  get bytes(): number {
    return this.region.bytes;
  }

  /** The same elements under another shape. Throws ShapeError if their number differs. */
  reshape(shape: Shape): Tensor {
    if (count(shape) !== this.count) {
      throw new ShapeError(
        `${this.label}.reshape: expected ${this.count} elements, got ${describeShape(shape)} = ${count(shape)}`,
      );
    }
    return new Tensor(this.runtime, shape, this.dtype, this.region, this.label);
  }

  /** Throws ShapeError with both shapes unless this tensor has `shape`. */
  expect(place: string, shape: Shape): this {
    expectShape(place, this.shape, shape);
    return this;
  }

  /** Rows and width of a matrix [rows, width]. Throws ShapeError for another number of axes. */
  matrix(place: string): readonly [number, number] {
    const [rows, width] = this.shape;
    if (rows === undefined || width === undefined || this.shape.length !== 2) {
      throw new ShapeError(`${place}: expected a matrix [rows, width], got ${describeShape(this.shape)}`);
    }
    return [rows, width];
  }

  /** Replaces all elements; f32 values given to an f16 tensor are rounded to the nearest. */
  write(values: Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>): void {
    if (values.length !== this.count) {
      throw new ShapeError(`${this.label}.write: expected ${this.count} values, got ${values.length}`);
    }
    this.writeAt(0, values);
  }

  /** Replaces the elements from `first` on. `first`, and the length unless it ends the tensor, are multiples of 4. */
  writeAt(first: number, values: Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>): void {
    const end = first + values.length;
    if (end > this.count || first % 4 !== 0 || (values.length % 4 !== 0 && end !== this.count)) {
      throw new ShapeError(
        `${this.label}.write: expected whole groups of 4 below ${this.count}, got ${first} to ${end}`,
      );
    }
    if ((this.dtype === 'u32') !== values instanceof Uint32Array) {
      throw new ShapeError(`${this.label}.write: expected ${this.dtype} values, got ${values.constructor.name}`);
    }
    let data: ArrayBufferView<ArrayBuffer> = values;
    if (this.dtype === 'f16') {
      const halves = new Uint16Array(roundUp(values.length, 4));
      halves.set(toHalf(values as Float32Array));
      data = halves;
    }
    this.runtime.upload(this, first * ELEMENT_BYTES[this.dtype], data);
  }

  /** A copy of the elements on the CPU: u32 as Uint32Array, f32 and f16 as Float32Array. */
  async read(): Promise<Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>> {
    const bytes = await this.runtime.download(this, storedBytes(this.dtype, this.count));
    if (this.dtype === 'u32') return new Uint32Array(bytes, 0, this.count);
    if (this.dtype === 'f16') return fromHalf(new Uint16Array(bytes, 0, this.count));
    return new Float32Array(bytes, 0, this.count);
  }

  /** The buffer. A tensor that waits for its memory gets it now. Throws DisposedError after `dispose`. */
  get buffer(): GPUBuffer {
    const { region } = this;
    if (region.state === 'virtual' && region.owned) {
      return this.runtime.allocate(region, `${this.label} ${describeShape(this.shape)} ${this.dtype}`);
    }
    if (region.buffer && region.state === 'live') return region.buffer;
    const why = region.state === 'virtual' ? 'it belongs to a recording that has not ended' : 'it was disposed';
    throw new DisposedError(`${this.label}: expected a tensor in memory, but ${why}`);
  }

  /**
   * Frees the memory, or has the last program that reads or writes it do so. Tensors made inside a recording belong to its
   * program, which frees them. Idempotent.
   */
  dispose(): void {
    if (this.region.owned) this.runtime.free(this.region);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
