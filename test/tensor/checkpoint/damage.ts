/** Damaged files, and what must hold of a reader that meets one. */

import assert from 'node:assert/strict';
import fc from 'fast-check';
import { openCheckpoint } from '../../../src/tensor/checkpoint/checkpoint.ts';
import { STORED_BYTES } from '../../../src/tensor/checkpoint/stored-tensor.ts';
import { FormatError } from '../../../src/tensor/errors.ts';
import { type ByteSource, bytesSource } from '../../../src/tensor/source/bytes.ts';
import { concat } from './torch/torch-writer.ts';

type Edit = (bytes: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>;

/** Numbers that lie: too large, negative when signed, just around a power of two. */
const LIES = [
  0n,
  1n,
  0x7fn,
  0xffn,
  0xffffn,
  0x7fffffffn,
  0xffffffffn,
  1n << 32n,
  (1n << 53n) - 1n,
  1n << 63n,
  (1n << 64n) - 1n,
];

/** A place from the start or, as likely, from the end, where the directory of an archive is. */
const place = fc.tuple(fc.boolean(), fc.oneof(fc.nat({ max: 400 }), fc.nat({ max: 8000 })));

function at(bytes: Uint8Array, [fromEnd, distance]: readonly [boolean, number]): number {
  const from = distance % Math.max(1, bytes.length);
  return fromEnd ? Math.max(0, bytes.length - 1 - from) : from;
}

const flip: fc.Arbitrary<Edit> = fc.tuple(place, fc.nat({ max: 7 })).map(([where, bit]) => (bytes) => {
  const copy = bytes.slice();
  if (copy.length > 0) copy[at(copy, where)]! ^= 1 << bit;
  return copy;
});
const replace: fc.Arbitrary<Edit> = fc.tuple(place, fc.nat({ max: 255 })).map(([where, value]) => (bytes) => {
  const copy = bytes.slice();
  if (copy.length > 0) copy[at(copy, where)] = value;
  return copy;
});
const truncate: fc.Arbitrary<Edit> = place.map((where) => (bytes) => bytes.slice(0, at(bytes, where)));
const insert: fc.Arbitrary<Edit> = fc.tuple(place, fc.uint8Array({ minLength: 1, maxLength: 12 })).map(
  ([where, extra]) =>
    (bytes) =>
      concat([bytes.subarray(0, at(bytes, where)), extra, bytes.subarray(at(bytes, where))]),
);
const remove: fc.Arbitrary<Edit> = fc.tuple(place, fc.integer({ min: 1, max: 40 })).map(
  ([where, length]) =>
    (bytes) =>
      concat([bytes.subarray(0, at(bytes, where)), bytes.subarray(at(bytes, where) + length)]),
);
const splice: fc.Arbitrary<Edit> = fc
  .tuple(place, place, fc.integer({ min: 1, max: 60 }))
  .map(([from, to, length]) => (bytes) => {
    const piece = bytes.slice(at(bytes, from), at(bytes, from) + length);
    return concat([bytes.subarray(0, at(bytes, to)), piece, bytes.subarray(at(bytes, to))]);
  });
const lie: fc.Arbitrary<Edit> = fc
  .tuple(place, fc.constantFrom(...LIES), fc.constantFrom(1, 2, 4, 8))
  .map(([where, value, width]) => (bytes) => {
    const copy = bytes.slice();
    const start = at(copy, where);
    for (let i = 0; i < width && start + i < copy.length; i++)
      copy[start + i] = Number((value >> BigInt(8 * i)) & 255n);
    return copy;
  });

/** One to four edits, one after the other. */
export const damage: fc.Arbitrary<Edit> = fc
  .array(fc.oneof(flip, replace, truncate, insert, remove, splice, lie), { minLength: 1, maxLength: 4 })
  .map((edits) => (bytes) => edits.reduce((current, edit) => edit(current), bytes));

/** Memory that a reader cannot ask for is not in the file: every read is counted. */
function counted(bytes: Uint8Array): ByteSource & { readonly totalRead: () => number } {
  const source = bytesSource('damaged', bytes);
  let sum = 0;
  return {
    ...source,
    read(offset, length) {
      assert(length <= bytes.length, `a read of ${length} bytes from a file of ${bytes.length}`);
      sum += length;
      return source.read(offset, length);
    },
    totalRead: () => sum,
  };
}

/**
 * Opens a file and reads all of it. The outcome must be a FormatError, or a checkpoint whose tensors are within the file:
 * any other error goes on to the test.
 */
export async function outcomeOf(bytes: Uint8Array): Promise<'refused' | 'sound'> {
  const source = counted(bytes);
  try {
    const checkpoint = await openCheckpoint(source);
    assert(source.totalRead() <= 4 * bytes.length, `${source.totalRead()} bytes read to open ${bytes.length}`);
    for (const [name, tensor] of checkpoint.tensors) {
      const elements = tensor.shape.includes(0) ? 0 : tensor.shape.reduce((product, size) => product * size, 1);
      assert.equal(tensor.name, name);
      assert.equal(tensor.bytes, elements * STORED_BYTES[tensor.dtype]);
      assert(tensor.bytes <= bytes.length);
      const data = await tensor.read();
      assert.equal(data.length, tensor.bytes);
      assert.deepEqual(await tensor.read(tensor.bytes >> 1), data.slice(tensor.bytes >> 1));
    }
    return 'sound';
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    assert.match(error.message, /^damaged.*: expected .*, got /s);
    return 'refused';
  }
}
