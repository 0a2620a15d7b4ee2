/** What has been downloaded and kept, under the user's control. */

import { fileCache } from '#source';
import { text } from '../checks.ts';
import { OptionError } from '../errors.ts';
import { checkValue } from '../options.ts';
import { show } from '../show.ts';
import type { CachedFile } from './file-cache.ts';

/** Files of hubs that are kept: on the disk in Node, in a browser in the origin's own file system. */
export interface Downloads {
  /** Where they lie. */
  readonly name: string;
  /** Every file that is kept, or begun. */
  list(): Promise<readonly CachedFile[]>;
  /** Bytes of all. */
  bytes(): Promise<number>;
  /** Removes one, by its key. Throws OptionError for one that is not there. */
  delete(key: string): Promise<void>;
  /** Removes all. */
  clear(): Promise<void>;
  /** Asks the browser to remove nothing when storage runs short. False: it may. In Node nothing is removed. */
  persist(): Promise<boolean>;
  /** Bytes that there is still room for; undefined where the browser does not tell. */
  room(): Promise<number | undefined>;
}

/**
 * `folder` is the `cache` of `loadModel`; left out, its default. Throws StorageError where storage is blocked.
 *
 * @example
 * const kept = await downloads();
 * for (const { name, bytes, isWhole } of await kept.list()) console.log(name, bytes, isWhole);
 * await kept.clear();
 */
export async function downloads(folder?: string): Promise<Downloads> {
  const cache = await (folder === undefined ? fileCache() : fileCache(checkValue('folder', text, folder)));
  const list = () => cache.list();
  return {
    name: cache.name,
    list,
    bytes: async () => (await list()).reduce((sum, { bytes }) => sum + bytes, 0),
    async delete(key) {
      checkValue('key', text, key);
      // a key is part of a path
      if (!(await list()).some((file) => file.key === key))
        throw new OptionError(`key: expected one of those that list() tells, got ${show(key)}`);
      await cache.remove(key);
    },
    async clear() {
      for (const { key } of await list()) await cache.remove(key);
    },
    persist: () => cache.persist(),
    room: () => cache.room(),
  };
}
