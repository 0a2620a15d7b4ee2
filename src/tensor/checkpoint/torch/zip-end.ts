/** The records at the end of a zip archive, which say where its central directory is. Source: APPNOTE.TXT 4.3.14-16. */

import { FormatError } from '../../errors.ts';
import type { ByteSource } from '../../source/bytes.ts';

export interface DirectoryEnd {
  readonly entries: number;
  /** Of the directory. */
  readonly bytes: number;
  readonly offset: number;
}

const END_SIGNATURE = 0x06054b50;
const END_BYTES = 22;
const MAX_COMMENT_BYTES = 0xffff;
const LOCATOR_SIGNATURE = 0x07064b50;
const LOCATOR_BYTES = 20;
const END64_SIGNATURE = 0x06064b50;
const END64_BYTES = 56;

/** Finds the directory. Throws FormatError when there is none, or when it would not end before these records. */
export async function directoryEnd(source: ByteSource, place: string): Promise<DirectoryEnd> {
  const tailBytes = Math.min(source.size, END_BYTES + MAX_COMMENT_BYTES + LOCATOR_BYTES);
  const tailStart = source.size - tailBytes;
  const tail = new DataView((await source.read(tailStart, tailBytes)).buffer);
  const at = findEnd(tail);
  if (at === undefined) {
    throw new FormatError(`${place}: expected an end record, got none; the file is truncated or no zip archive`);
  }
  const hasLocator = at >= LOCATOR_BYTES && tail.getUint32(at - LOCATOR_BYTES, true) === LOCATOR_SIGNATURE;
  const end = hasLocator
    ? await readEnd64(source, place, safeUint64(place, tail, at - LOCATOR_BYTES + 8))
    : {
        entries: tail.getUint16(at + 10, true),
        bytes: tail.getUint32(at + 12, true),
        offset: tail.getUint32(at + 16, true),
      };
  const latest = tailStart + at;
  if (end.offset + end.bytes > latest) {
    throw new FormatError(
      `${place}: expected it to end by byte ${latest}, got ${end.bytes} bytes at ${end.offset}; the file is damaged`,
    );
  }
  return end;
}

/** A u64 that is also a safe integer; throws FormatError otherwise. */
export function safeUint64(place: string, view: DataView, at: number): number {
  const value = view.getBigUint64(at, true);
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new FormatError(`${place}: expected less than 2^53, got ${value}`);
  return Number(value);
}

/** The last record whose comment reaches exactly to the end of the file. */
function findEnd(tail: DataView): number | undefined {
  for (let at = tail.byteLength - END_BYTES; at >= 0; at--) {
    const isEnd = tail.getUint32(at, true) === END_SIGNATURE;
    if (isEnd && at + END_BYTES + tail.getUint16(at + 20, true) === tail.byteLength) return at;
  }
  return undefined;
}

async function readEnd64(source: ByteSource, place: string, at: number): Promise<DirectoryEnd> {
  const view = new DataView((await source.read(at, END64_BYTES)).buffer);
  if (view.getUint32(0, true) !== END64_SIGNATURE) {
    throw new FormatError(`${place}: expected a zip64 end record at byte ${at}, got other bytes`);
  }
  return {
    entries: safeUint64(place, view, 32),
    bytes: safeUint64(place, view, 40),
    offset: safeUint64(place, view, 48),
  };
}
