/**
 * The origin private file system as a cache of files, in browsers: a folder a file, of pieces, and the entry `done` once all
 * are there. What is written counts when its piece is closed: a download that is cut keeps all, a page that is closed loses
 * the last piece.
 */

import { StorageError } from '../errors.ts';
import { type ByteSource, rangedSource } from './bytes.ts';
import type { CachedFile, Download, FileCache } from './file-cache.ts';

const PIECE_BYTES = 64 * 2 ** 20;
const DONE = 'done';
const NAME = 'name';

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
    // the origin's own pages alone can write here
    isVerified: async () => true,
    list: () => stored(name, () => listed(root)),
    setVerified: (key, _hex, file) =>
      stored(name, async () => {
        const folder = await root.getDirectoryHandle(key, { create: true });
        const writable = await (await folder.getFileHandle(NAME, { create: true })).createWritable();
        await writable.write(file);
        await writable.close();
      }),
    remove: (key) => stored(name, () => root.removeEntry(key, { recursive: true })),
    async room() {
      const { quota, usage } = await navigator.storage.estimate();
      return quota === undefined || usage === undefined ? undefined : Math.max(0, quota - usage);
    },
    persist: () => navigator.storage.persist(),
    alone: (key, signal, work) =>
      navigator.locks.request(`rasterline ${folder} ${key}`, signal ? { signal } : {}, work),
  };
}

async function listed(root: FileSystemDirectoryHandle): Promise<CachedFile[]> {
  const files: CachedFile[] = [];
  for await (const [key, folder] of root as unknown as AsyncIterable<[string, FileSystemDirectoryHandle]>) {
    if (folder.kind !== 'directory') continue;
    const there = async (file: string) => (await folder.getFileHandle(file).catch(() => undefined))?.getFile();
    const bytes = (await piecesOf(folder)).reduce((sum, piece) => sum + piece.size, 0);
    files.push({ key, name: (await (await there(NAME))?.text()) ?? key, bytes, isWhole: Boolean(await there(DONE)) });
  }
  return files;
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
  let piece: { readonly writable: FileSystemWritableFileStream; bytes: number } | undefined;
  const beginPiece = async () => {
    const file = await folder.getFileHandle(String(pieces.length), { create: true });
    return { writable: await file.createWritable(), bytes: 0 };
  };
  const endPiece = async () => {
    await piece?.writable.close();
    piece = undefined;
    pieces = await piecesOf(folder);
  };
  return {
    get length() {
      return length;
    },
    read: (offset, count) => stored(name, () => readPieces(pieces, offset, count)),
    append: (bytes) =>
      stored(name, async () => {
        piece ??= await beginPiece();
        await piece.writable.write(bytes);
        piece.bytes += bytes.length;
        length += bytes.length;
        if (piece.bytes >= PIECE_BYTES) await endPiece();
      }),
    finish: () =>
      stored(name, async () => {
        await endPiece();
        await folder.getFileHandle(DONE, { create: true });
      }),
    close: () => stored(name, endPiece),
    discard: () =>
      stored(name, async () => {
        await piece?.writable.abort(); // it holds a lock on its file
        await root.removeEntry(key, { recursive: true });
      }),
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
