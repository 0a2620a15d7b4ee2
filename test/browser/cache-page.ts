/** Runs in the page: a download into the origin's own file system, cut off and gone on with. */

import { fileCache } from '#source';
import { bytesSource } from '../../src/tensor/source/bytes.ts';
import { cachedFile } from '../../src/tensor/source/file-cache.ts';

const MIB = 2 ** 20;
/** Where the first run is cut off: within a piece of 64 MiB. */
const CUT_BYTES = 24 * MIB;
/** Enough that the second run fills a piece and begins another. */
const CONTENT = new Uint8Array(96 * MIB).map((_, i) => i % 251);

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
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', CONTENT));
  const hex = [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  let reads = 0;
  const wanted = {
    file: 'weights',
    size: CONTENT.length,
    digest: { kind: 'sha256', hex } as const,
    open: async () => {
      const source = bytesSource('weights', CONTENT);
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
