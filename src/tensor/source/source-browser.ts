/** Files in a browser: they come as URLs and Blobs, and are kept in the origin's own file system. */

import { NotFoundError, OptionError } from '../errors.ts';
import type { ByteSource } from './bytes.ts';
import type { FileSet } from './file-set.ts';
import { urlSource } from './url-source.ts';

export { fileCache } from './file-cache-browser.ts';

/**
 * The files that ship with this package, beside the folder of its bundled code. Each address is written out whole, since
 * bundlers look for exactly this form, copy the file, and put in the address of the copy.
 */
const PACKAGED: Readonly<Record<string, () => URL>> = {
  'checkpoints/emoji/gpt.safetensors': () => new URL('../checkpoints/emoji/gpt.safetensors', import.meta.url),
  'checkpoints/emoji/vq.safetensors': () => new URL('../checkpoints/emoji/vq.safetensors', import.meta.url),
  'checkpoints/emoji/t5.safetensors': () => new URL('../checkpoints/emoji/t5.safetensors', import.meta.url),
  'checkpoints/emoji/tokenizer.json': () => new URL('../checkpoints/emoji/tokenizer.json', import.meta.url),
};

/** The absolute URL of a name, which is relative to the page as in `fetch`; names of a hub stay as they are. */
export function absoluteName(name: string): string {
  const base = globalThis.document?.baseURI ?? globalThis.location?.href;
  return name.startsWith('hf:') || !URL.canParse(name, base) ? name : new URL(name, base).href;
}

/** Throws OptionError: a page cannot open a path. */
export async function fileSource(path: string): Promise<ByteSource> {
  throw new OptionError(`source: expected a URL or a Blob in a browser, got the path '${path}'`);
}

/** A page has no folders: undefined, so that `fileSource` says so. */
export async function folderSet(_path: string): Promise<FileSet | undefined> {
  return undefined;
}

/** Throws OptionError: a page writes no files. */
export async function writeWhole(path: string, _bytes: Uint8Array): Promise<void> {
  throw new OptionError(`save: expected Node, got a page for '${path}'; offer a download of toBlob()`);
}

/** A file that ships with this package. Throws NotFoundError for one that pages do not get. */
export async function packagedSource(path: string): Promise<ByteSource> {
  const url = PACKAGED[path]?.();
  if (!url) throw new NotFoundError(`${path}: expected one of ${Object.keys(PACKAGED).join(', ')}, got ${path}`);
  return await urlSource(url);
}
