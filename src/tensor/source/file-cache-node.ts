/** A folder as a cache of files, in Node: `<key>` when finished, `<key>.part` until then. */

import { constants, type FileHandle, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { StorageError } from '../errors.ts';
import { cacheBase } from './cache-folder-node.ts';
import type { Download, FileCache } from './file-cache.ts';
import { fileSource } from './file-node.ts';

/** Default: the folder `files` in the user's cache. Nothing is made before the first download. */
export async function fileCache(folder: string = join(cacheBase(), 'files')): Promise<FileCache> {
  return {
    name: folder,
    async get(key) {
      const path = join(folder, key);
      return (await sizeOf(path)) === undefined ? undefined : await fileSource(path);
    },
    resume: (key) => partFile(join(folder, key)),
  };
}

/**
 * Every byte is written at its own offset. So several processes may bring the same file at once: a key always stands for
 * the same bytes, and whoever ends first puts the file in its place for all.
 */
async function partFile(path: string): Promise<Download> {
  const part = `${path}.part`;
  const stored = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      const remedy =
        code === 'ENOSPC' ? '; make room, or give another cache folder' : '; give a cache folder that can be written';
      throw new StorageError(`${part}: expected to be read and written, got ${message}${remedy}`, { cause: error });
    }
  };
  const handle = await stored(async () => {
    await mkdir(dirname(path), { recursive: true });
    return await open(part, constants.O_RDWR | constants.O_CREAT);
  });
  let length = (await stored(() => handle.stat())).size;
  return {
    get length() {
      return length;
    },
    read: (offset, count) =>
      stored(async () => {
        const bytes = new Uint8Array(count);
        const { bytesRead } = await handle.read(bytes, 0, count, offset);
        if (bytesRead < count) throw new Error(`${bytesRead} of ${count} bytes at ${offset}`);
        return bytes;
      }),
    append: (bytes) =>
      stored(async () => {
        await writeFully(handle, bytes, length);
        length += bytes.length;
      }),
    finish: () =>
      stored(async () => {
        await handle.sync();
        await handle.close();
        await rename(part, path).catch(async (error) => {
          if ((await sizeOf(path)) !== length) throw error;
        });
      }),
    close: () => stored(() => handle.close()),
    discard: () =>
      stored(async () => {
        await handle.close();
        await rm(part, { force: true });
      }),
  };
}

async function writeFully(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, written, bytes.length - written, position + written);
    written += bytesWritten;
  }
}

async function sizeOf(path: string): Promise<number | undefined> {
  return (await stat(path).catch(() => undefined))?.size;
}
