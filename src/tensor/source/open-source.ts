/** A checkpoint however a caller names it. */

import { absoluteName, fileSource } from '#source';
import { text } from '../checks.ts';
import { type Check, checkOptions, checkValue, type OptionTable } from '../options.ts';
import { BLOB, BYTE_SOURCE, BYTES, type ByteSource, blobSource, bytesSource, checkedSource } from './bytes.ts';
import { URL_OPTIONS, type UrlOptions, urlSource } from './url-source.ts';

/** A path (Node), a URL, a file a user picked, bytes in memory, or anything that reads ranges. */
export type CheckpointSource = string | URL | Blob | ArrayBuffer | Uint8Array | ByteSource;

export const SOURCE: Check<CheckpointSource> = {
  expected: 'a path, a URL, a Blob, bytes, or a source that reads ranges',
  fits: (value): value is CheckpointSource =>
    text.fits(value) || value instanceof URL || BLOB.fits(value) || BYTES.fits(value) || BYTE_SOURCE.fits(value),
};

export const OPEN_SOURCE: OptionTable<UrlOptions> = { ...URL_OPTIONS, place: 'openSource' };

/**
 * Opens bytes to be read by ranges. In Node a string that begins with `http:`, `https:`, `data:` or `blob:` is a URL and any
 * other a path; in a page every string is a URL, relative to the page.
 *
 * Throws OptionError for anything else, and FormatError when it cannot be read.
 *
 * @example
 * const source = await openSource('model.safetensors');
 * const start = await source.read(0, 8);
 */
export async function openSource(source: CheckpointSource, given: UrlOptions = {}): Promise<ByteSource> {
  const options = checkOptions(OPEN_SOURCE, given);
  checkValue('source', SOURCE, source);
  if (typeof source === 'string') {
    const name = absoluteName(source);
    return /^(https?:\/\/|data:|blob:)/.test(name) ? await urlSource(name, options) : await fileSource(name);
  }
  if (source instanceof URL) return await urlSource(source, options);
  if (source instanceof Blob) return blobSource('blob', source);
  if (source instanceof ArrayBuffer || source instanceof Uint8Array) return bytesSource('bytes in memory', source);
  return checkedSource('source', source);
}
