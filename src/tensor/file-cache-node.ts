/** A folder as a cache of files, in Node: `<key>` when finished, `<key>.part` until then. */

import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { cacheBase } from './cache-folder-node.ts';
import { StorageError } from './errors.ts';
import type { Download, FileCache } from './file-cache.ts';
import { fileSource } from './file-node.ts';

/** Default: the folder `files` in the user's cache. Nothing is made before the first download. */
export async function fileCache(folder: string = join(cacheBase(), 'files')): Promise<FileCache> {
  return {
    name: folder,
    async get(key) {
      const path = join(folder, key);
      return (await stat(path).catch(() => undefined)) ? await fileSource(path) : undefined;
    },
    resume: (key) => partFile(join(folder, key)),
  };
}

async function partFile(path: string): Promise<Download> {
  const part = `${path}.part`;
  const stored = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      const remedy =
        code === 'ENOSPC' ? '; make room, or give another cache folder' : '; give a cache folder that can be written';
      throw new StorageError(`${part}: expected to write, got ${message}${remedy}`, { cause: error });
    }
  };
  const handle = await stored(async () => {
    await mkdir(dirname(path), { recursive: true });
    return await open(part, 'a+');
  });
  let length = (await stored(() => handle.stat())).size;
  return {
    get length() {
      return length;
    },
    read: (offset, count) =>
      stored(async () => {
        const bytes = new Uint8Array(count);
        await handle.read(bytes, 0, count, offset);
        return bytes;
      }),
    append: (bytes) =>
      stored(async () => {
        await handle.appendFile(bytes);
        length += bytes.length;
      }),
    finish: () =>
      stored(async () => {
        await handle.sync();
        await handle.close();
        await rename(part, path);
      }),
    close: () => stored(() => handle.close()),
    discard: () =>
      stored(async () => {
        await handle.close();
        await rm(part, { force: true });
      }),
  };
}
