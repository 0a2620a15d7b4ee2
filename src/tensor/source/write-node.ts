/** Files that are whole or not there, and what is no file stays what it is. */

import {
  access,
  constants,
  type FileHandle,
  lstat,
  open,
  readlink,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { OptionError } from '../errors.ts';
import { draftBeside } from './drafts-node.ts';

/** Of most file systems. */
const MOST_NAME_BYTES = 255;

/**
 * Throws OptionError unless a picture can be written to `path`: asked before a long run, not after it.
 *
 * A regular file is replaced, a link followed, a device or pipe written to. Folders, sockets and disks are refused. What
 * cannot be known before: whether a disk has room when the run ends, and whether whoever reads a pipe takes the bytes.
 */
export async function expectWritable(path: string): Promise<void> {
  await told(path, async () => {
    const target = await targetOf(path);
    if (target.kind === 'pipe') return await access(target.path, constants.W_OK); // opening it would wait for its reader
    if (target.kind === 'device') return await writeStream(target.path, new Uint8Array(1), 0);
    if (Buffer.byteLength(basename(target.path)) > MOST_NAME_BYTES)
      throw new Error(`a name of more than ${MOST_NAME_BYTES} bytes`);
    const draft = await draftBeside(target.path);
    await writeFile(draft, '', { flag: 'wx' });
    await rm(draft);
  });
}

/** Written beside its place, then renamed; or into a device or pipe. Throws OptionError. */
export async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  const target = await told(path, () => targetOf(path));
  if (target.kind === 'file') await writeDraft(path, target, (write) => write(0, bytes));
  else await told(path, () => writeStream(target.path, bytes));
}

/** Puts bytes into a file, at a place of their own. */
export type WriteAt = (position: number, bytes: Uint8Array) => Promise<void>;

/** A file in pieces, which is there when `work` has written all of them. Throws OptionError, and what `work` throws. */
export async function writePieces(path: string, work: (write: WriteAt) => Promise<void>): Promise<void> {
  const target = await told(path, () => targetOf(path));
  if (target.kind !== 'file')
    throw new OptionError(`out: expected a file that can be written, got ${path}: a ${target.kind}`);
  await writeDraft(path, target, work);
}

async function writeDraft(path: string, target: FileTarget, work: (write: WriteAt) => Promise<void>): Promise<void> {
  const draft = await draftBeside(target.path);
  const file = await told(path, () => open(draft, 'wx', target.mode));
  try {
    await work((position, bytes) => told(path, () => writeAll(file, bytes, { position }))).finally(() => file.close());
    await told(path, () => rename(draft, target.path));
  } catch (error) {
    await rm(draft, { force: true }).catch(() => undefined); // the first error is the one to tell
    throw error;
  }
}

interface FileTarget {
  readonly kind: 'file';
  readonly path: string;
  readonly mode: number;
}

type Target = FileTarget | { readonly kind: 'device' | 'pipe'; readonly path: string };

async function targetOf(given: string): Promise<Target> {
  const path = await followed(given);
  const status = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (!status) return { kind: 'file', path, mode: 0o666 };
  if (status.isFile()) return { kind: 'file', path, mode: status.mode & 0o777 };
  if (status.isCharacterDevice()) return { kind: 'device', path };
  if (status.isFIFO()) return { kind: 'pipe', path };
  throw new Error(status.isDirectory() ? 'a directory' : 'a socket or a disk');
}

/** Where a link leads in the end, whether or not there is something. */
async function followed(path: string): Promise<string> {
  let at = path;
  for (let links = 0; links < 40; links++) {
    const status = await lstat(at).catch(() => undefined);
    if (!status?.isSymbolicLink()) return at;
    at = resolve(dirname(at), await readlink(at));
  }
  throw new Error('links that lead in a circle');
}

/** Writes `length` bytes; even none is a write, which tells a full device from one that takes them. */
async function writeStream(path: string, bytes: Uint8Array, length: number = bytes.length): Promise<void> {
  const file = await open(path, constants.O_WRONLY);
  await writeAll(file, bytes, { length }).finally(() => file.close());
}

interface Piece {
  readonly length?: number;
  /** Default: where the file stands. */
  readonly position?: number;
}

async function writeAll(
  file: FileHandle,
  bytes: Uint8Array,
  { length = bytes.length, position }: Piece,
): Promise<void> {
  let done = 0;
  do {
    const at = position === undefined ? null : position + done;
    done += (await file.write(bytes, done, length - done, at)).bytesWritten;
  } while (done < length);
}

async function told<T>(path: string, work: () => Promise<T>): Promise<T> {
  if (path === '') throw new OptionError('out: expected a file that can be written, got an empty name');
  try {
    return await work();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const folder = dirname(path);
    const reasons: Readonly<Record<string, string>> = {
      ENOENT: `no folder ${folder}, or none that takes files`,
      EACCES: `no permission to write to ${folder}`,
    };
    throw new OptionError(`out: expected a file that can be written, got ${path}: ${reasons[code ?? ''] ?? message}`, {
      cause: error,
    });
  }
}
