/**
 * Reads safetensors: a header's length (u64), a JSON header, then the tensors' bytes without holes or overlaps.
 * Source: the format's own description and checks, github.com/huggingface/safetensors.
 */

import { FormatError } from '../errors.ts';
import { expectWithin } from '../limits.ts';
import { describeShape } from '../shape.ts';
import type { ByteSource } from '../source/bytes.ts';
import { type HeaderEntry, parseHeader } from './safetensors-header.ts';
import {
  type Checkpoint,
  elementCount,
  STORED_BYTES,
  type StoredDtype,
  type StoredTensor,
  storedRun,
} from './stored-tensor.ts';

/** Of the header's length, at the head of the file. */
export const LENGTH_BYTES = 8;

/** Names as written in files. F4, F6 and C64 exist too; nothing here reads them. */
export const DTYPES: ReadonlyMap<string, StoredDtype> = new Map([
  ['F64', 'f64'],
  ['F32', 'f32'],
  ['F16', 'f16'],
  ['BF16', 'bf16'],
  ['F8_E4M3', 'f8e4m3'],
  ['F8_E5M2', 'f8e5m2'],
  ['I64', 'i64'],
  ['I32', 'i32'],
  ['I16', 'i16'],
  ['I8', 'i8'],
  ['U64', 'u64'],
  ['U32', 'u32'],
  ['U16', 'u16'],
  ['U8', 'u8'],
  ['BOOL', 'bool'],
]);

/** Reads the header and checks all of it; throws FormatError. The checkpoint owns the source from then on. */
export async function openSafetensors(source: ByteSource): Promise<Checkpoint> {
  const place = `${source.name}: safetensors header`;
  const headerBytes = await readHeaderLength(source, place);
  const { entries, metadata } = parseHeader(place, decode(place, await source.read(LENGTH_BYTES, headerBytes)));

  const dataStart = LENGTH_BYTES + headerBytes;
  checkLayout(source.name, entries, source.size - dataStart);
  const tensors = new Map<string, StoredTensor>();
  for (const [name, entry] of entries) {
    const dtype = checkedDtype(source.name, name, entry);
    const { shape, begin, end } = entry;
    tensors.set(name, storedRun(source, { name, dtype, shape, start: dataStart + begin, bytes: end - begin }));
  }
  return {
    name: source.name,
    format: 'safetensors',
    tensors,
    metadata: Object.freeze(Object.fromEntries(metadata)),
    close: () => source.close(),
  };
}

async function readHeaderLength(source: ByteSource, place: string): Promise<number> {
  const bytes = await source.read(0, LENGTH_BYTES);
  const length = new DataView(bytes.buffer).getBigUint64(0, true);
  const most = source.size - LENGTH_BYTES;
  if (length > BigInt(most)) {
    throw new FormatError(
      `${place}: expected at most ${most} bytes, got a length of ${length}; the file is truncated or damaged`,
    );
  }
  expectWithin(place, 'headerBytes', Number(length));
  return Number(length);
}

function decode(place: string, bytes: Uint8Array<ArrayBuffer>): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new FormatError(`${place}: expected UTF-8, got other bytes; the file is damaged`, { cause });
  }
}

/** Every byte of the data belongs to exactly one tensor. */
function checkLayout(place: string, entries: ReadonlyMap<string, HeaderEntry>, dataBytes: number): void {
  const ordered = [...entries.values()].sort((a, b) => a.begin - b.begin || a.end - b.end);
  let reached = 0;
  for (const { name, begin, end } of ordered) {
    if (begin !== reached || end < begin || end > dataBytes) {
      throw new FormatError(
        `${place}: ${name}: expected data from byte ${reached} of ${dataBytes}, got [${begin}, ${end}); the file is truncated or damaged`,
      );
    }
    reached = end;
  }
  if (reached !== dataBytes) {
    throw new FormatError(
      `${place}: expected ${reached} bytes after the header, got ${dataBytes}; the file is damaged`,
    );
  }
}

function checkedDtype(place: string, name: string, { dtype, shape, begin, end }: HeaderEntry): StoredDtype {
  const known = DTYPES.get(dtype);
  if (!known) {
    throw new FormatError(`${place}: ${name}: expected one of ${[...DTYPES.keys()].join(', ')}, got ${dtype}`);
  }
  if (elementCount(shape) * STORED_BYTES[known] !== end - begin) {
    throw new FormatError(
      `${place}: ${name}: expected the bytes of ${dtype} ${describeShape(shape)}, got ${end - begin} bytes`,
    );
  }
  return known;
}
