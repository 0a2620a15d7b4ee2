/**
 * A folder as a cache of files, in Node: `<key>` when finished, `<key>.part` until then, and in `<key>.verified` the hash it
 * had and what the file system said of it at that time, so that not every run must read it all to know that it is the same.
 */

import {
  constants,
  type FileHandle,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  statfs,
  writeFile,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { StorageError } from '../errors.ts';
import { cacheBase } from './cache-folder-node.ts';
import type { CachedFile, Download, FileCache } from './file-cache.ts';
import { fileSource } from './file-node.ts';

const REMEDIES: Readonly<Record<string, string>> = {
  ENOSPC: 'make room, or give another cache folder; what is there stays',
  ELOOP: 'it is a link, which is not followed; remove it',
};

/** Default: the folder `files` in the user's cache. Nothing is made before the first download. */
export async function fileCache(folder: string = join(cacheBase(), 'files')): Promise<FileCache> {
  return {
    name: folder,
    async get(key) {
      const path = join(folder, key);
      return (await sizeOf(path)) === undefined ? undefined : await fileSource(path);
    },
    resume: (key) => partFile(join(folder, key)),
    async isVerified(key, hex) {
      const path = join(folder, key);
      const stored = await readFile(`${path}.verified`, 'utf8').catch(() => undefined);
      return stored !== undefined && stored.split('\n')[0] === (await stamp(path, hex));
    },
    async setVerified(key, hex, name) {
      const path = join(folder, key);
      await writeFile(`${path}.verified`, `${await stamp(path, hex)}\n${name}`).catch(() => undefined); // it is hashed again then
    },
    list: () => listed(folder),
    async remove(key) {
      for (const end of ['', '.part', '.verified']) await rm(join(folder, `${key}${end}`), { force: true });
    },
    async room() {
      const found = await statfs(folder).catch(() => undefined);
      return found && found.bavail * found.bsize;
    },
    persist: async () => true,
    // every byte has its own place, so that several processes may bring it at once
    alone: (_key, _signal, work) => work(),
  };
}

async function listed(folder: string): Promise<CachedFile[]> {
  const files = await readdir(folder).catch(() => []);
  const own = files.filter((file) => !/\.verified$/.test(file));
  return await Promise.all(
    own.map(async (file) => {
      const key = file.replace(/\.part$/, '');
      const verified = await readFile(join(folder, `${key}.verified`), 'utf8').catch(() => '');
      const [, name = key] = verified.split('\n');
      return { key, name, bytes: (await sizeOf(join(folder, file))) ?? 0, isWhole: file === key };
    }),
  );
}

/** The time of the last change cannot be set by anybody, unlike that of the last writing. */
async function stamp(path: string, hex: string): Promise<string> {
  const { size, mtimeMs, ctimeMs, ino } = await stat(path);
  return [hex, size, mtimeMs, ctimeMs, ino].join(' ');
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
      const remedy = REMEDIES[code ?? ''] ?? 'give a cache folder that can be written';
      throw new StorageError(`${part}: expected to be read and written, got ${message}; ${remedy}`, { cause: error });
    }
  };
  const handle = await stored(async () => {
    await mkdir(dirname(path), { recursive: true });
    const opened = await open(part, constants.O_RDWR | constants.O_CREAT | (constants.O_NOFOLLOW ?? 0));
    if ((await opened.stat()).isFile()) return opened;
    await opened.close();
    throw new Error('something that is no file');
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
