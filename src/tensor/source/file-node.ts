/** A checkpoint file on disk, in Node. */

import { type FileHandle, open, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { FormatError, NotFoundError } from '../errors.ts';
import { type ByteSource, rangedSource } from './bytes.ts';
import type { FileSet } from './file-set.ts';

/** Node reads at most 2^31 - 1 bytes at a time. */
const READ_BYTES = 2 ** 30;

/** Opens a file to be read by ranges. Throws FormatError when it is missing, unreadable or a directory. */
export async function fileSource(path: string): Promise<ByteSource> {
  const handle = await open(path, 'r').catch((cause: NodeJS.ErrnoException) => {
    const remedy = cause.code === 'ENOENT' ? '; check the path, or download the checkpoint first' : '';
    const Kind = cause.code === 'ENOENT' ? NotFoundError : FormatError;
    throw new Kind(`${path}: expected a readable file, got ${described(cause)}${remedy}`, { cause });
  });
  try {
    const status = await handle.stat();
    if (!status.isFile()) {
      const got = status.isDirectory() ? 'a directory' : 'something that is not a plain file';
      throw new FormatError(`${path}: expected a checkpoint file, got ${got}; name the file itself`);
    }
    return rangedSource({
      name: path,
      size: status.size,
      readRange: (offset, length) => readFully(path, handle, offset, length),
      release: () => handle.close(),
    });
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** The files of a folder; undefined for what is no folder. */
export async function folderSet(path: string): Promise<FileSet | undefined> {
  const status = await stat(path).catch(() => undefined);
  return status?.isDirectory() ? { name: path, open: (file) => fileSource(join(path, file)) } : undefined;
}

/** A file that ships with this package, found by the package's own name, also from a bundle in another project. */
export async function packagedSource(path: string): Promise<ByteSource> {
  let root: string;
  try {
    root = dirname(createRequire(import.meta.url).resolve('rasterline/package.json'));
  } catch (cause) {
    throw new NotFoundError(
      `${path}: expected the package rasterline, got none from ${import.meta.url}; install it, or give the file by its path`,
      { cause },
    );
  }
  return await fileSource(join(root, path));
}

async function readFully(path: string, handle: FileHandle, offset: number, length: number) {
  const bytes = new Uint8Array(length);
  let filled = 0;
  while (filled < length) {
    const wanted = Math.min(length - filled, READ_BYTES);
    const { bytesRead } = await handle.read(bytes, filled, wanted, offset + filled).catch((cause) => {
      throw new FormatError(`${path}: expected ${length} bytes at ${offset}, got ${described(cause)}`, { cause });
    });
    if (bytesRead === 0) {
      throw new FormatError(
        `${path}: expected ${length} bytes at ${offset}, got ${filled}; the file became shorter while it was read`,
      );
    }
    filled += bytesRead;
  }
  return bytes;
}

function described(cause: NodeJS.ErrnoException): string {
  if (cause.code === 'ENOENT') return 'no such file';
  if (cause.code === 'EACCES' || cause.code === 'EPERM') return 'no permission to read it';
  return cause.message;
}
