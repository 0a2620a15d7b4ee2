/** What every checkpoint format offers: named tensors that are read by range. */

import type { Shape } from '../shape.ts';
import { type ByteSource, expectRange } from '../source/bytes.ts';

/** How a checkpoint stores its numbers, always little-endian. */
export type StoredDtype =
  | 'f64'
  | 'f32'
  | 'f16'
  | 'bf16'
  | 'f8e4m3'
  | 'f8e5m2'
  | 'i64'
  | 'i32'
  | 'i16'
  | 'i8'
  | 'u64'
  | 'u32'
  | 'u16'
  | 'u8'
  | 'bool';

/** Bytes of one element. */
export const STORED_BYTES: Readonly<Record<StoredDtype, number>> = {
  f64: 8,
  f32: 4,
  f16: 2,
  bf16: 2,
  f8e4m3: 1,
  f8e5m2: 1,
  i64: 8,
  i32: 4,
  i16: 2,
  i8: 1,
  u64: 8,
  u32: 4,
  u16: 2,
  u8: 1,
  bool: 1,
};

/** A tensor in a checkpoint; nothing of it is in memory until it is read. */
export interface StoredTensor {
  readonly name: string;
  readonly dtype: StoredDtype;
  readonly shape: Shape;
  /** Of all elements. */
  readonly bytes: number;
  /**
   * Bytes [offset, offset + length) of the contiguous, little-endian, row-major data; all of them by default. Throws
   * FormatError for a range outside the tensor.
   */
  read(offset?: number, length?: number): Promise<Uint8Array<ArrayBuffer>>;
}

/** An open checkpoint. It owns its source: `close()` closes both. */
export interface Checkpoint {
  /** Of its source. */
  readonly name: string;
  readonly format: 'safetensors' | 'torch';
  /** In the file's own order. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** What the file says about itself; empty for torch. */
  readonly metadata: Readonly<Record<string, string>>;
  close(): Promise<void>;
}

/** Where a contiguous tensor lies in a source; `start` and `bytes` are in bytes. */
export interface StoredRun {
  readonly name: string;
  readonly dtype: StoredDtype;
  readonly shape: Shape;
  readonly start: number;
  readonly bytes: number;
}

/** A tensor whose data is one run of bytes of the source. */
export function storedRun(source: ByteSource, run: StoredRun): StoredTensor {
  const { name, dtype, shape, start, bytes } = run;
  return {
    name,
    dtype,
    shape,
    bytes,
    async read(offset = 0, length = bytes - offset) {
      expectRange(`${source.name}: ${name}`, bytes, offset, length);
      return source.read(start + offset, length);
    },
  };
}

/** Product of the sizes. Not a safe integer when it is too large, but never NaN: compare it with an upper limit. */
export function elementCount(shape: Shape): number {
  return shape.includes(0) ? 0 : shape.reduce((product, size) => product * size, 1);
}
