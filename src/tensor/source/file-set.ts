/** Places that hold several files of a model: a folder, a URL, a repository of a hub, or files that a user picked. */

import { hasMethod, instance, listOf } from '../checks.ts';
import { NotFoundError, OptionError } from '../errors.ts';
import { type Check, checkOptions, checkValue } from '../options.ts';
import { show } from '../show.ts';
import { type ByteSource, blobSource, checkedSource } from './bytes.ts';
import { URL_OPTIONS, type UrlOptions, urlSource } from './url-source.ts';

/** Files by their names. */
export interface FileSet {
  readonly name: string;
  /** Throws NotFoundError for a file that is not there, FormatError for one that cannot be read. */
  open(file: string): Promise<ByteSource>;
}

/** Files that a user picked. */
export interface PickedSet extends FileSet {
  readonly picked: readonly File[];
}

export const FILE_SET: Check<FileSet> = {
  expected: 'a set of files (name, open)',
  fits: (value): value is FileSet => hasMethod(value, 'open') && typeof (value as FileSet).name === 'string',
};

/** The first of `files` that is there. */
export async function openFirst(
  set: FileSet,
  files: readonly string[],
): Promise<{ readonly file: string; readonly source: ByteSource } | undefined> {
  for (const file of files) {
    try {
      return { file, source: checkedSource(`${set.name}: ${file}`, await set.open(file)) };
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error;
    }
  }
  return undefined;
}

/**
 * Files below a URL, read by ranges. Throws OptionError for what is none.
 *
 * @example
 * const model = await loadModel(runtime, 'janus-pro-1b', { checkpoint: urlSet('https://example.org/janus/') });
 */
export function urlSet(base: string | URL, given: UrlOptions = {}): FileSet {
  const options = checkOptions({ ...URL_OPTIONS, place: 'urlSet' }, given);
  const isAddress = (typeof base === 'string' || base instanceof URL) && /^https?:/.test(String(base));
  if (!isAddress || !URL.canParse(String(base)))
    throw new OptionError(`urlSet: expected an address such as https://host/folder/, got ${show(base)}`);
  const folder = String(base).replace(/\/?$/, '/');
  return { name: folder, open: async (file) => await urlSource(new URL(file, folder), options) };
}

/**
 * Files that a user picked in a browser, by their names. Throws OptionError for anything else.
 *
 * @example
 * const input = document.querySelector('input')!; // <input type="file" multiple>
 * const picked = await loadModel(runtime, "janus-pro-1b", { checkpoint: pickedSet([...input.files!]) });
 */
export function pickedSet(files: readonly File[]): PickedSet {
  const picked = checkValue(
    'pickedSet',
    listOf(
      'a list of Files',
      instance<File>('a File', () => File),
    ),
    files,
  );
  return {
    name: 'picked files',
    picked,
    async open(file) {
      const found = picked.find(({ name }) => name === file);
      if (!found) throw new NotFoundError(`picked files: expected a file ${file}, got none; pick it too`);
      return blobSource(file, found);
    },
  };
}
