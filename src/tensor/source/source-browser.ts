/** Files in a browser: they come as URLs and Blobs, and are kept in the origin's own file system. */

import { OptionError } from '../errors.ts';
import type { ByteSource } from './bytes.ts';
import type { FileSet } from './file-set.ts';
import { urlSource } from './url-source.ts';

export { fileCache } from './file-cache-browser.ts';

/** Throws OptionError: a page cannot open a path. */
export async function fileSource(path: string): Promise<ByteSource> {
  throw new OptionError(`source: expected a URL or a Blob in a browser, got the path '${path}'`);
}

/** A page has no folders: undefined, so that `fileSource` says so. */
export async function folderSet(_path: string): Promise<FileSet | undefined> {
  return undefined;
}

/** A file that ships with this package, beside the folder of its bundled code. */
export async function packagedSource(path: string): Promise<ByteSource> {
  return await urlSource(new URL(`../${path}`, import.meta.url));
}
