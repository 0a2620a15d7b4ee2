/**
 * The origin private file system as a cache of files, in browsers: a folder a file, of pieces that are written whole, so
 * that a closed page loses one piece at most; the entry `done` says that all are there.
 */

import { type ByteSource, rangedSource } from './bytes.ts';
import { StorageError } from './errors.ts';
import type { Download, FileCache } from './file-cache.ts';

const PIECE_BYTES = 64 * 2 ** 20;
const DONE = 'done';

/** `folder` is one of the origin's own file system. */
export async function fileCache(folder = 'rasterline'): Promise<FileCache> {
  const name = `origin private file system, ${folder}`;
  const root = await stored(name, async () => {
    const origin = await navigator.storage.getDirectory();
    return await origin.getDirectoryHandle(folder, { create: true });
  });
  return {
    name,
    get: (key) => stored(name, () => finished(root, key)),
    resume: (key) => stored(name, () => begin(root, key, name)),
  };
}

async function finished(root: FileSystemDirectoryHandle, key: string): Promise<ByteSource | undefined> {
  const folder = await root.getDirectoryHandle(key).catch(() => undefined);
  const done = await folder?.getFileHandle(DONE).catch(() => undefined);
  if (!folder || !done) return undefined;
  const pieces = await piecesOf(folder);
  const size = pieces.reduce((sum, piece) => sum + piece.size, 0);
  return rangedSource({ name: key, size, readRange: (offset, length) => readPieces(pieces, offset, length) });
}

async function begin(root: FileSystemDirectoryHandle, key: string, name: string): Promise<Download> {
  const folder = await root.getDirectoryHandle(key, { create: true });
  let pieces = await piecesOf(folder);
  let length = pieces.reduce((sum, piece) => sum + piece.size, 0);
  let waiting = new Uint8Array(0);
  const write = async (entry: string, bytes: Uint8Array<ArrayBuffer>) => {
    const file = await folder.getFileHandle(entry, { create: true });
    const writable = await file.createWritable();
    await writable.write(bytes);
    await writable.close();
  };
  const flush = async () => {
    await write(String(pieces.length), waiting);
    waiting = new Uint8Array(0);
    pieces = await piecesOf(folder);
  };
  return {
    get length() {
      return length;
    },
    read: (offset, count) => stored(name, () => readPieces(pieces, offset, count)),
    append: (bytes) =>
      stored(name, async () => {
        const joined = new Uint8Array(waiting.length + bytes.length);
        joined.set(waiting);
        joined.set(bytes, waiting.length);
        waiting = joined;
        length += bytes.length;
        if (waiting.length >= PIECE_BYTES) await flush();
      }),
    finish: () =>
      stored(name, async () => {
        if (waiting.length > 0) await flush();
        await write(DONE, new Uint8Array(1));
      }),
    close: async () => undefined,
    discard: () => stored(name, () => root.removeEntry(key, { recursive: true })),
  };
}

/** Pieces 0, 1, ... as far as they go. */
async function piecesOf(folder: FileSystemDirectoryHandle): Promise<File[]> {
  const pieces: File[] = [];
  for (;;) {
    const entry = await folder.getFileHandle(String(pieces.length)).catch(() => undefined);
    if (!entry) return pieces;
    pieces.push(await entry.getFile());
  }
}

async function readPieces(pieces: readonly File[], offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length);
  let start = 0;
  for (const piece of pieces) {
    const from = Math.max(offset, start);
    const to = Math.min(offset + length, start + piece.size);
    if (from < to) bytes.set(new Uint8Array(await piece.slice(from - start, to - start).arrayBuffer()), from - offset);
    start += piece.size;
  }
  return bytes;
}

async function stored<T>(name: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new StorageError(`${name}: expected to be read and written, got ${String(error)}; free some storage`, {
      cause: error,
    });
  }
}
