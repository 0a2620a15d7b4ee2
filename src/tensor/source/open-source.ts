/** A checkpoint however a caller names it. */

import { fileSource } from '#source';
import { type ByteSource, blobSource, bytesSource } from './bytes.ts';
import { type UrlOptions, urlSource } from './url-source.ts';

/** A path (Node), a URL, a file a user picked, bytes in memory, or anything that reads ranges. */
export type CheckpointSource = string | URL | Blob | ArrayBuffer | Uint8Array | ByteSource;

/** Throws FormatError when it cannot be read. A string that begins with `http://` or `https://` is a URL, any other a path. */
export async function openSource(source: CheckpointSource, options: UrlOptions = {}): Promise<ByteSource> {
  if (typeof source === 'string')
    return /^https?:\/\//.test(source) ? await urlSource(source, options) : await fileSource(source);
  if (source instanceof URL) return await urlSource(source, options);
  if (source instanceof Blob) return blobSource('blob', source);
  if (source instanceof ArrayBuffer || source instanceof Uint8Array) return bytesSource('bytes in memory', source);
  return source;
}
