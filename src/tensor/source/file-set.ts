/** Places that hold several files of a model: a folder, a URL, a repository of a hub, or files that a user picked. */

import { NotFoundError } from '../errors.ts';
import { type ByteSource, blobSource } from './bytes.ts';
import { type UrlOptions, urlSource } from './url-source.ts';

/** Files by their names. */
export interface FileSet {
  readonly name: string;
  /** Throws NotFoundError for a file that is not there, FormatError for one that cannot be read. */
  open(file: string): Promise<ByteSource>;
}

/** The first of `files` that is there. */
export async function openFirst(
  set: FileSet,
  files: readonly string[],
): Promise<{ readonly file: string; readonly source: ByteSource } | undefined> {
  for (const file of files) {
    try {
      return { file, source: await set.open(file) };
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error;
    }
  }
  return undefined;
}

/** Files below a URL, read by ranges. */
export function urlSet(base: string | URL, options: UrlOptions = {}): FileSet {
  const folder = String(base).replace(/\/?$/, '/');
  return { name: folder, open: (file) => urlSource(new URL(file, folder), options) };
}

/** Files that a user picked in a browser, by their names. */
export function pickedSet(files: readonly File[]): FileSet {
  return {
    name: 'picked files',
    async open(file) {
      const found = files.find(({ name }) => name === file);
      if (!found) throw new NotFoundError(`picked files: expected a file ${file}, got none; pick it too`);
      return blobSource(file, found);
    },
  };
}
