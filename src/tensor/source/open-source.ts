/** A checkpoint however a caller names it. */

import { absoluteName, fileSource } from '#source';
import { type ByteSource, blobSource, bytesSource } from './bytes.ts';
import { type UrlOptions, urlSource } from './url-source.ts';

/** A path (Node), a URL, a file a user picked, bytes in memory, or anything that reads ranges. */
export type CheckpointSource = string | URL | Blob | ArrayBuffer | Uint8Array | ByteSource;

/**
 * Opens bytes to be read by ranges. In Node a string that begins with `http:`, `https:`, `data:` or `blob:` is a URL and any
 * other a path; in a page every string is a URL, relative to the page. Throws FormatError when it cannot be read.
 */
export async function openSource(source: CheckpointSource, options: UrlOptions = {}): Promise<ByteSource> {
  if (typeof source === 'string') {
    const name = absoluteName(source);
    return /^(https?:\/\/|data:|blob:)/.test(name) ? await urlSource(name, options) : await fileSource(name);
  }
  if (source instanceof URL) return await urlSource(source, options);
  if (source instanceof Blob) return blobSource('blob', source);
  if (source instanceof ArrayBuffer || source instanceof Uint8Array) return bytesSource('bytes in memory', source);
  return source;
}
