/** Where a checkpoint's bytes come from: memory, a Blob, or a server. Files in Node are in file-node.ts. */

import { hasMethod, instance, text } from '../checks.ts';
import { DisposedError, FormatError } from '../errors.ts';
import { expectWithin } from '../limits.ts';
import { type Check, checkValue } from '../options.ts';

/** Bytes that are read by range; `name` is the place that errors give. Whoever opens one closes it. */
export interface ByteSource {
  readonly name: string;
  /** In bytes. */
  readonly size: number;
  /** A fresh copy of bytes [offset, offset + length). Throws FormatError for a range that is not within the source. */
  read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>>;
  /** Idempotent. A read after it throws DisposedError. */
  close(): Promise<void>;
}

/** Anything that reads ranges, as a caller may bring it. */
export const BYTE_SOURCE: Check<ByteSource> = {
  expected: 'a source of bytes (name, size, read, close)',
  fits: (value): value is ByteSource =>
    hasMethod(value, 'read') &&
    hasMethod(value, 'close') &&
    typeof (value as ByteSource).name === 'string' &&
    Number.isSafeInteger((value as ByteSource).size) &&
    (value as ByteSource).size >= 0,
};

export const BYTES: Check<ArrayBuffer | Uint8Array> = {
  expected: 'bytes (an ArrayBuffer or a Uint8Array)',
  fits: (value): value is ArrayBuffer | Uint8Array => value instanceof ArrayBuffer || value instanceof Uint8Array,
};

export const BLOB = instance<Blob>('a Blob or a File', () => Blob);

/** What a kind of source does itself; `rangedSource` adds the checks that all of them share. */
export interface RangedBytes {
  readonly name: string;
  readonly size: number;
  /** Called with a range of at least one byte within the source; returns exactly `length` bytes. */
  readRange(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>>;
  release?(): Promise<void>;
}

/** Throws FormatError unless [offset, offset + length) lies within `size` bytes. */
export function expectRange(place: string, size: number, offset: number, length: number): void {
  const isWhole = Number.isSafeInteger(offset) && Number.isSafeInteger(length);
  if (!isWhole || offset < 0 || length < 0 || offset > size - length) {
    throw new FormatError(
      `${place}: expected at most ${size} bytes, got a read of ${length} bytes at ${offset}; the file is truncated or damaged`,
    );
  }
}

/** A ByteSource that checks every range, answers empty ones itself, and refuses to read once closed. */
export function rangedSource(bytes: RangedBytes): ByteSource {
  const { name, size } = bytes;
  let isOpen = true;
  return {
    name,
    size,
    async read(offset, length) {
      if (!isOpen) throw new DisposedError(`${name}: expected an open source, got a read after close()`);
      expectRange(name, size, offset, length);
      expectWithin(name, 'readBytes', length);
      return length === 0 ? new Uint8Array(0) : bytes.readRange(offset, length);
    },
    async close() {
      if (!isOpen) return;
      isOpen = false;
      await bytes.release?.();
    },
  };
}

/** A source that a caller brings, held to its word: reads within its size, each of as many bytes as were asked for. */
export function checkedSource(place: string, given: ByteSource): ByteSource {
  const source = checkValue(place, BYTE_SOURCE, given);
  const { name, size } = source;
  return rangedSource({
    name,
    size,
    async readRange(offset, length) {
      const bytes: unknown = await source.read(offset, length);
      if (bytes instanceof Uint8Array && bytes.length === length) return bytes as Uint8Array<ArrayBuffer>;
      throw new FormatError(
        `${name}: expected read(${offset}, ${length}) to give so many bytes, got ${bytes instanceof Uint8Array ? `${bytes.length}` : 'no Uint8Array'}`,
      );
    },
    release: () => source.close(),
  });
}

/**
 * Bytes already in memory; they are not copied until they are read. Throws OptionError for anything else.
 *
 * @example
 * const source = bytesSource('model', await (await fetch('model.safetensors')).arrayBuffer());
 */
export function bytesSource(name: string, content: ArrayBuffer | Uint8Array): ByteSource {
  checkValue('bytesSource: name', text, name);
  checkValue('bytesSource: content', BYTES, content);
  const bytes = content instanceof Uint8Array ? content : new Uint8Array(content);
  return rangedSource({
    name,
    size: bytes.length,
    async readRange(offset, length) {
      const copy = new Uint8Array(length);
      copy.set(bytes.subarray(offset, offset + length));
      return copy;
    },
  });
}

/**
 * A Blob or a File chosen in a browser. Throws OptionError for anything else; reads throw FormatError when it changes
 * meanwhile.
 *
 * @example
 * const source = blobSource('model', new Blob(['...']));
 */
export function blobSource(name: string, blob: Blob): ByteSource {
  checkValue('blobSource: name', text, name);
  checkValue('blobSource: blob', BLOB, blob);
  return rangedSource({
    name,
    size: blob.size,
    async readRange(offset, length) {
      try {
        return new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer());
      } catch (cause) {
        throw new FormatError(`${name}: expected a readable file, got ${String(cause)}; choose the file again`, {
          cause,
        });
      }
    },
  });
}
