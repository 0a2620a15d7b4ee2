/** Runs in the page: a download into the origin's own file system, cut off and gone on with. */

import { fileCache } from '#source';
import { bytesSource } from '../../src/tensor/source/bytes.ts';
import { cachedFile } from '../../src/tensor/source/file-cache.ts';

const MIB = 2 ** 20;
/** Where the first run is cut off: within a piece of 64 MiB. */
const CUT_BYTES = 24 * MIB;
/** Enough that the second run fills a piece and begins another. */
const LARGE_BYTES = 96 * MIB;
/** Of three reads. */
const SMALL_BYTES = 20 * MIB;

function contentOf(bytes: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes).map((_, i) => i % 251);
}

export interface CacheResult {
  /** Reads that the first, aborted run and the second made of the source. */
  readonly first: number;
  readonly second: number;
  /** Bytes there when the second run began. */
  readonly resumed: number;
  readonly size: number;
  readonly middle: readonly number[];
  /** Whether a third run needed the source. */
  readonly again: boolean;
  readonly wrong: string;
}

export async function cacheRound(): Promise<CacheResult> {
  const cache = await fileCache('rasterline-test');
  const content = contentOf(LARGE_BYTES);
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', content));
  const hex = [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  let reads = 0;
  const wanted = {
    file: 'weights',
    size: content.length,
    digest: { kind: 'sha256', hex } as const,
    open: async () => {
      const source = bytesSource('weights', content);
      return { ...source, read: (offset: number, length: number) => ++reads && source.read(offset, length) } as never;
    },
  };
  const stop = new AbortController();
  const onDownload = ({ loadedBytes }: { readonly loadedBytes: number }) => {
    if (loadedBytes >= CUT_BYTES) stop.abort(new Error('enough'));
  };
  await cachedFile(cache, 'weights', wanted, { signal: stop.signal, onDownload }).catch(() => undefined);
  const first = reads;
  const left = await cache.resume('weights');
  const resumed = left.length;
  await left.close();
  const file = await cachedFile(cache, 'weights', wanted);
  const second = reads - first;
  const borders = [CUT_BYTES, CUT_BYTES + 64 * MIB].map((border) => file.read(border - 2, 4));
  const middle = (await Promise.all(borders)).flatMap((bytes) => [...bytes]);
  await cachedFile(cache, 'weights', wanted);
  const third = reads - first - second;
  const wrong = await cachedFile(cache, 'other', { ...wanted, digest: { kind: 'sha256', hex: '0'.repeat(64) } }).then(
    () => 'none',
    (error: Error) => `${error.name}: ${error.message}`,
  );
  return { first, second, resumed, size: file.size, middle, again: third > 0, wrong };
}

/** Begins a download whose source stops to answer in the middle, and holds it. Resolves when it does. */
export async function beginAndHang(): Promise<void> {
  const cache = await fileCache('rasterline-tabs');
  const content = contentOf(SMALL_BYTES);
  await new Promise<void>((hangs) => {
    let reads = 0;
    const read = (offset: number, length: number) => {
      if (++reads <= 2) return source.read(offset, length);
      hangs();
      return new Promise<never>(() => {});
    };
    const source = bytesSource('weights', content);
    void cachedFile(cache, 'weights', {
      file: 'weights',
      size: SMALL_BYTES,
      open: async () => ({ ...source, read }) as never,
    });
  });
}

/** The same download in another tab: how often it read the source, and whether all bytes are right. */
export async function downloadSmall(): Promise<{ readonly reads: number; readonly isWhole: boolean }> {
  const cache = await fileCache('rasterline-tabs');
  const content = contentOf(SMALL_BYTES);
  let reads = 0;
  const open = async () => {
    const source = bytesSource('weights', content);
    return { ...source, read: (offset: number, length: number) => ++reads && source.read(offset, length) } as never;
  };
  const file = await cachedFile(cache, 'weights', { file: 'weights', size: SMALL_BYTES, open });
  const bytes = await file.read(0, file.size);
  return { reads, isWhole: bytes.length === SMALL_BYTES && bytes.every((byte, i) => byte === content[i]) };
}
