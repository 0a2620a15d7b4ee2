/** Where everything lies in a safetensors file that is to be written. Source: github.com/huggingface/safetensors. */

import type { Shape } from '../shape.ts';
import { DTYPES, LENGTH_BYTES } from './safetensors.ts';
import { elementCount, STORED_BYTES, type StoredDtype } from './stored-tensor.ts';

/** Tensors begin at a multiple of this: the largest element there is. */
const ALIGNMENT = 8;

export interface PlacedTensor {
  /** In the file. */
  readonly start: number;
  readonly bytes: number;
}

export interface SafetensorsLayout {
  /** The bytes before the first tensor. */
  readonly header: Uint8Array<ArrayBuffer>;
  readonly places: ReadonlyMap<string, PlacedTensor>;
  /** Of the whole file. */
  readonly bytes: number;
}

/** Tensors of the largest elements first, so that each is aligned to its own. */
export function layOut(
  tensors: readonly { readonly name: string; readonly dtype: StoredDtype; readonly shape: Shape }[],
  metadata: Readonly<Record<string, string>>,
): SafetensorsLayout {
  const written = new Map([...DTYPES].map(([name, dtype]) => [dtype, name]));
  const entries: [string, object][] = [];
  const offsets = new Map<string, PlacedTensor>();
  let at = 0;
  for (const { name, dtype, shape } of [...tensors].sort((a, b) => STORED_BYTES[b.dtype] - STORED_BYTES[a.dtype])) {
    const bytes = elementCount(shape) * STORED_BYTES[dtype];
    entries.push([name, { dtype: written.get(dtype), shape, data_offsets: [at, at + bytes] }]);
    offsets.set(name, { start: at, bytes });
    at += bytes;
  }
  const text = new TextEncoder().encode(JSON.stringify(Object.fromEntries([['__metadata__', metadata], ...entries])));
  const length = Math.ceil((LENGTH_BYTES + text.length) / ALIGNMENT) * ALIGNMENT;
  const header = new Uint8Array(length).fill(' '.charCodeAt(0));
  new DataView(header.buffer).setBigUint64(0, BigInt(length - LENGTH_BYTES), true);
  header.set(text, LENGTH_BYTES);
  const places = new Map([...offsets].map(([name, { start, bytes }]) => [name, { start: length + start, bytes }]));
  return { header, places, bytes: length + at };
}
