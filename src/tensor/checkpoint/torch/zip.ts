/**
 * Finds the entries of a zip archive that only stores, as torch writes it, by its central directory.
 * Source: APPNOTE.TXT 6.3.10 (PKWARE), with zip64. Checksums are not compared: torch may write them without computing.
 */

import { FormatError } from '../../errors.ts';
import { expectWithin } from '../../limits.ts';
import type { ByteSource } from '../../source/bytes.ts';
import { directoryEnd, safeUint64 } from './zip-end.ts';

/** An entry whose data, stored as it is, lies between its local header and `limit`. */
export interface ZipEntry {
  readonly name: string;
  /** Of the data. */
  readonly bytes: number;
  /** Where its local header begins. */
  readonly header: number;
  /** Where the next entry or the directory begins. */
  readonly limit: number;
  readonly rawName: Uint8Array;
}

const ENTRY_SIGNATURE = 0x02014b50;
const ENTRY_BYTES = 46;
const LOCAL_SIGNATURE = 0x04034b50;
const LOCAL_BYTES = 30;
const ENCRYPTED_FLAG = 1;
const STORED_METHOD = 0;
const ZIP64_EXTRA = 1;
const IN_ZIP64 = 0xffffffff;

/**
 * Reads the central directory. Throws FormatError unless every entry is stored, plain, within the file, and apart from
 * all the others.
 */
export async function readZip(source: ByteSource): Promise<ReadonlyMap<string, ZipEntry>> {
  const place = `${source.name}: zip directory`;
  const end = await directoryEnd(source, place);
  expectWithin(place, 'directoryBytes', end.bytes);
  expectWithin(place, 'tensors', end.entries);
  const directory = await source.read(end.offset, end.bytes);
  const found: Omit<ZipEntry, 'limit'>[] = [];
  let at = 0;
  while (at < directory.length) {
    const { entry, next } = readEntry(place, directory, at);
    found.push(entry);
    at = next;
  }
  if (found.length !== end.entries) {
    throw new FormatError(`${place}: expected ${end.entries} entries, got ${found.length}; the file is damaged`);
  }
  return withLimits(place, found, end.offset);
}

/** Where the data of an entry begins: its local header may be longer than the directory tells. Throws FormatError. */
export async function locate(source: ByteSource, entry: ZipEntry): Promise<number> {
  const place = `${source.name}: zip entry ${entry.name}`;
  const header = await source.read(entry.header, LOCAL_BYTES + entry.rawName.length);
  const view = new DataView(header.buffer);
  const isNamed = entry.rawName.every((byte, index) => header[LOCAL_BYTES + index] === byte);
  if (view.getUint32(0, true) !== LOCAL_SIGNATURE || view.getUint16(26, true) !== entry.rawName.length || !isNamed) {
    throw new FormatError(`${place}: expected its local header at byte ${entry.header}, got other bytes`);
  }
  const start = entry.header + header.length + view.getUint16(28, true);
  if (start + entry.bytes > entry.limit) {
    throw new FormatError(
      `${place}: expected data up to byte ${entry.limit}, got ${entry.bytes} bytes at ${start}; the file is damaged`,
    );
  }
  return start;
}

function readEntry(place: string, directory: Uint8Array<ArrayBuffer>, at: number) {
  const view = new DataView(directory.buffer, at);
  if (view.byteLength < ENTRY_BYTES || view.getUint32(0, true) !== ENTRY_SIGNATURE) {
    throw new FormatError(`${place}: expected an entry at byte ${at} of it, got other bytes; the file is damaged`);
  }
  const nameEnd = ENTRY_BYTES + view.getUint16(28, true);
  const extraEnd = nameEnd + view.getUint16(30, true);
  const entryEnd = extraEnd + view.getUint16(32, true);
  if (entryEnd > view.byteLength) {
    throw new FormatError(`${place}: expected ${entryEnd} bytes for an entry, got ${view.byteLength}`);
  }
  const rawName = directory.subarray(at + ENTRY_BYTES, at + nameEnd);
  const name = decodeName(place, rawName);
  const method = view.getUint16(10, true);
  if (method !== STORED_METHOD || view.getUint16(8, true) & ENCRYPTED_FLAG) {
    const got = method === STORED_METHOD ? 'an encrypted one' : `compression method ${method}`;
    throw new FormatError(`${place}: ${name}: expected a stored entry, got ${got}; write the file with torch.save`);
  }
  const extra = new DataView(directory.buffer, at + nameEnd, extraEnd - nameEnd);
  const { bytes, packedBytes, header } = entrySizes(`${place}: ${name}`, view, extra);
  if (bytes !== packedBytes) {
    throw new FormatError(`${place}: ${name}: expected ${bytes} stored bytes, got ${packedBytes}`);
  }
  return { entry: { name, bytes, header, rawName }, next: at + entryEnd };
}

/** Sizes and offset; those that do not fit 32 bits follow in the zip64 extra field, in this order. */
function entrySizes(place: string, view: DataView, extra: DataView) {
  let wide: DataView | undefined;
  for (let at = 0; at + 4 <= extra.byteLength; ) {
    const length = extra.getUint16(at + 2, true);
    if (at + 4 + length > extra.byteLength) throw new FormatError(`${place}: expected whole extra fields, got a part`);
    if (extra.getUint16(at, true) === ZIP64_EXTRA) wide = new DataView(extra.buffer, extra.byteOffset + at + 4, length);
    at += 4 + length;
  }
  let taken = 0;
  const field = (offset: number): number => {
    const value = view.getUint32(offset, true);
    if (value !== IN_ZIP64) return value;
    if (!wide || taken + 8 > wide.byteLength) throw new FormatError(`${place}: expected a zip64 field, got none`);
    taken += 8;
    return safeUint64(place, wide, taken - 8);
  };
  return { bytes: field(24), packedBytes: field(20), header: field(42) };
}

function decodeName(place: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new FormatError(`${place}: expected UTF-8 names, got other bytes`, { cause });
  }
}

function withLimits(place: string, found: readonly Omit<ZipEntry, 'limit'>[], directoryStart: number) {
  const ordered = [...found].sort((a, b) => a.header - b.header);
  const entries = new Map<string, ZipEntry>();
  for (const [index, entry] of ordered.entries()) {
    const limit = ordered[index + 1]?.header ?? directoryStart;
    const least = entry.header + LOCAL_BYTES + entry.rawName.length + entry.bytes;
    if (least > limit) {
      throw new FormatError(
        `${place}: ${entry.name}: expected an end by byte ${limit}, got ${least}; the file is damaged`,
      );
    }
    if (entries.has(entry.name)) throw new FormatError(`${place}: expected each name once, got ${entry.name} again`);
    entries.set(entry.name, { ...entry, limit });
  }
  return entries;
}
