/** Files kept on the user's machine: downloaded once, gone on with where they were cut off, verified before they count. */

import { FormatError, StorageError } from '../errors.ts';
import { expectWithin } from '../limits.ts';
import type { ByteSource } from './bytes.ts';
import type { ContentHash } from './content-hash.ts';

/** Bytes read, hashed and written at a time. */
const PIECE_BYTES = 8 * 2 ** 20;

/** A file that is kept, or as much of it as has come. */
export interface CachedFile {
  readonly key: string;
  /** Where it came from; the key for one that is not whole, or was not verified. */
  readonly name: string;
  readonly bytes: number;
  readonly isWhole: boolean;
}

/** Where finished and unfinished files lie. Every method throws StorageError where it cannot be read or written. */
export interface FileCache {
  readonly name: string;
  /** A finished file. */
  get(key: string): Promise<ByteSource | undefined>;
  /** Begins a file, or goes on with what an earlier run left of it. */
  resume(key: string): Promise<Download>;
  /** Whether the finished file is as it was when `setVerified` was told that its hash is this one. */
  isVerified(key: string, hex: string): Promise<boolean>;
  setVerified(key: string, hex: string, name: string): Promise<void>;
  /** Every file that is kept, or begun. */
  list(): Promise<readonly CachedFile[]>;
  remove(key: string): Promise<void>;
  /** Bytes that there is still room for; undefined where nobody tells. */
  room(): Promise<number | undefined>;
  /** Asks that nothing is removed when storage runs short. False: it may be. */
  persist(): Promise<boolean>;
  /** Runs alone among all that would bring this file, in other tabs too. Throws the signal's reason while it waits. */
  alone<T>(key: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T>;
}

/** A file that is not finished: bytes [0, length) are there. */
export interface Download {
  readonly length: number;
  read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>>;
  /** Writes on from `length`. */
  append(bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /** Puts the file in its place. */
  finish(): Promise<void>;
  /** Keeps what is there for another run. */
  close(): Promise<void>;
  /** Removes all of it. */
  discard(): Promise<void>;
}

/** How much of a file has been downloaded. */
export interface DownloadProgress {
  readonly file: string;
  readonly loadedBytes: number;
  readonly totalBytes: number;
}

/** A hash in hex: of the content, or of what git makes of it, sha1("blob <size>\0" + content). */
export interface Digest {
  readonly kind: 'sha256' | 'git-sha1';
  readonly hex: string;
}

export interface Wanted {
  /** For progress and errors. */
  readonly file: string;
  readonly size: number;
  /** Absent: the size alone is verified. */
  readonly digest?: Digest | undefined;
  /** Opened when the file is not there. */
  readonly open: () => Promise<ByteSource>;
}

export interface DownloadOptions {
  readonly signal?: AbortSignal;
  readonly onDownload?: (progress: DownloadProgress) => void;
}

/**
 * The file under `key`, downloaded first unless it is there. A finished file that was changed since it was verified is
 * verified again, and downloaded again if it is another.
 *
 * What an aborted or cut download brought stays for the next run, on a full disk too. Throws FormatError for content of
 * another size or hash, of which nothing stays, and StorageError for a cache that cannot be read or written, or that has no
 * room for it, before anything is downloaded.
 */
export async function cachedFile(
  cache: FileCache,
  key: string,
  wanted: Wanted,
  options: DownloadOptions = {},
): Promise<ByteSource> {
  return await cache.alone(key, options.signal, () => broughtFile(cache, key, wanted, options));
}

async function broughtFile(
  cache: FileCache,
  key: string,
  wanted: Wanted,
  options: DownloadOptions,
): Promise<ByteSource> {
  const there = await cache.get(key);
  if (there?.size === wanted.size && (await isSound(cache, key, there, wanted, options))) return there;
  await there?.close();
  const download = await cache.resume(key);
  try {
    await expectRoom(cache, wanted, download.length);
    await fetchRest(download, wanted, options);
    await download.finish();
  } catch (error) {
    const isWorthless = error instanceof WrongContentError || download.length === 0;
    const cleanUp = isWorthless ? download.discard() : download.close();
    await cleanUp.catch(() => undefined); // the first error is the one to tell
    throw error;
  }
  if (wanted.digest) await cache.setVerified(key, wanted.digest.hex, wanted.file);
  const finished = await cache.get(key);
  if (finished?.size === wanted.size) return finished;
  await finished?.close();
  throw new StorageError(
    `${cache.name}: expected ${wanted.file} of ${wanted.size} bytes after its download, got ${finished?.size ?? 'none'}; load again`,
  );
}

/** Small bytes that never change under their key, such as the listing of a commit: asked for once. */
export async function keptBytes(cache: FileCache, key: string, ask: () => Promise<Uint8Array<ArrayBuffer>>) {
  const there = await cache.get(key);
  if (there) {
    expectWithin(`${cache.name}: ${key}`, 'listingBytes', there.size);
    return await there.read(0, there.size).finally(() => there.close());
  }
  const bytes = await ask();
  let download = await cache.resume(key);
  if (download.length > 0) {
    await download.discard();
    download = await cache.resume(key);
  }
  await download.append(bytes);
  await download.finish();
  return bytes;
}

async function expectRoom(cache: FileCache, { file, size }: Wanted, loadedBytes: number): Promise<void> {
  const room = await cache.room();
  const needed = size - loadedBytes;
  const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(3)} GB`;
  if (room !== undefined && needed > room)
    throw new StorageError(
      `${cache.name}: expected room for ${gigabytes(needed)} more of ${file}, got ${gigabytes(room)}; free some storage, or delete other downloads`,
    );
}

async function isSound(
  cache: FileCache,
  key: string,
  there: ByteSource,
  { file, size, digest }: Wanted,
  { signal, onDownload }: DownloadOptions,
): Promise<boolean> {
  if (!digest || (await cache.isVerified(key, digest.hex))) return true;
  const hash = await hashOf(digest, size);
  for (let at = 0; at < size; at += PIECE_BYTES) {
    signal?.throwIfAborted();
    hash.update(await there.read(at, Math.min(PIECE_BYTES, size - at)));
    onDownload?.({ file, loadedBytes: at, totalBytes: size });
  }
  const isSame = hash.hex() === digest.hex;
  if (isSame) await cache.setVerified(key, digest.hex, file);
  return isSame;
}

async function hashOf(digest: Digest | undefined, size: number): Promise<ContentHash> {
  const { contentHash } = await import('./content-hash.ts');
  return contentHash(digest?.kind ?? 'sha256', size);
}

/** The bytes are not those that were promised. */
class WrongContentError extends FormatError {}

async function fetchRest(download: Download, wanted: Wanted, { signal, onDownload }: DownloadOptions): Promise<void> {
  const { file, size, digest } = wanted;
  const hash = await hashOf(digest, size);
  for (let at = 0; at < download.length; at += PIECE_BYTES) {
    hash.update(await download.read(at, Math.min(PIECE_BYTES, download.length - at)));
  }
  if (download.length < size) {
    const source = await wanted.open();
    try {
      while (download.length < size) {
        signal?.throwIfAborted();
        const bytes = await source.read(download.length, Math.min(PIECE_BYTES, size - download.length));
        hash.update(bytes);
        await download.append(bytes);
        onDownload?.({ file, loadedBytes: download.length, totalBytes: size });
      }
    } finally {
      await source.close();
    }
  }
  const got = hash.hex();
  if (download.length === size && (digest === undefined || got === digest.hex)) return;
  throw new WrongContentError(
    `${file}: expected ${size} bytes of ${digest?.kind ?? 'sha256'} ${digest?.hex ?? 'any'}, got ${download.length} of ${got}; it was removed, load again`,
  );
}
