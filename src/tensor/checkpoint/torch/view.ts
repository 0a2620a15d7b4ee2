/** A tensor of a torch checkpoint: a view, by offset and strides, into a record of the archive. */

import { FormatError } from '../../errors.ts';
import { expectWithin } from '../../limits.ts';
import { describeShape, type Shape } from '../../shape.ts';
import { type ByteSource, expectRange } from '../../source/bytes.ts';
import { elementCount, STORED_BYTES, type StoredTensor, storedRun } from '../stored-tensor.ts';
import type { TorchTensor } from './pickle-values.ts';

/**
 * The view as a stored tensor; its storage begins at byte `start` of the source. A view that is not contiguous is
 * gathered on each read, from all of the storage that it spans.
 *
 * Throws FormatError when the view leaves its storage, or has more elements than the storage (`Tensor.expand`).
 */
export function storedView(source: ByteSource, name: string, tensor: TorchTensor, start: number): StoredTensor {
  const { storage, offset, shape, strides } = tensor;
  const place = `${source.name}: ${name}`;
  const elements = elementCount(shape);
  if (elements > storage.elements) {
    throw new FormatError(
      `${place}: expected at most the ${storage.elements} elements of its storage, got ${describeShape(shape)}; save a contiguous copy`,
    );
  }
  const span = elements === 0 ? 0 : 1 + shape.reduce((sum, size, axis) => sum + (size - 1) * strides[axis]!, 0);
  if (elements > 0 && offset + span > storage.elements) {
    throw new FormatError(
      `${place}: expected a view within ${storage.elements} elements, got ${describeShape(shape)} at offset ${offset} with strides ${describeShape(strides)}`,
    );
  }
  const width = STORED_BYTES[storage.dtype];
  const first = elements === 0 ? start : start + offset * width;
  const run = storedRun(source, { name, dtype: storage.dtype, shape, start: first, bytes: elements * width });
  if (elements === 0 || isContiguous(shape, strides)) return run;
  expectWithin(place, 'gapBytes', (span - elements) * width, 'save a contiguous copy');

  return {
    ...run,
    async read(from = 0, length = run.bytes - from) {
      expectRange(place, run.bytes, from, length);
      const firstElement = Math.floor(from / width);
      const lastElement = Math.ceil((from + length) / width);
      const spanned = await source.read(first, span * width);
      const gathered = gather({ bytes: spanned, width, shape, strides }, firstElement, lastElement);
      return gathered.slice(from - firstElement * width, from - firstElement * width + length);
    },
  };
}

function isContiguous(shape: Shape, strides: readonly number[]): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const size = shape[axis]!;
    if (size !== 1 && strides[axis] !== expected) return false;
    expected *= size;
  }
  return true;
}

interface Strided {
  readonly bytes: Uint8Array;
  /** Bytes of an element. */
  readonly width: number;
  readonly shape: Shape;
  readonly strides: readonly number[];
}

/** Elements [first, last) in row-major order: an odometer over the shape, which carries the place along. */
function gather({ bytes, width, shape, strides }: Strided, first: number, last: number): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array((last - first) * width);
  const index = shape.map(() => 0);
  let rest = first;
  let place = 0;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    index[axis] = rest % shape[axis]!;
    rest = Math.floor(rest / shape[axis]!);
    place += index[axis]! * strides[axis]!;
  }
  for (let to = 0; to < out.length; to += width) {
    for (let byte = 0; byte < width; byte++) out[to + byte] = bytes[place * width + byte]!;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      place += strides[axis]!;
      if (++index[axis]! < shape[axis]!) break;
      place -= shape[axis]! * strides[axis]!;
      index[axis] = 0;
    }
  }
  return out;
}
