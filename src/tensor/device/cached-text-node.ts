/** Short texts in the user's cache folder. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { StorageError } from '../errors.ts';
import { cacheBase, writeCached } from '../source/cache-folder-node.ts';
import type { CachedText } from './adapter.ts';

/** The text of that name; nothing is opened yet. */
export function cachedText(name: string): CachedText {
  const place = join(cacheBase(), 'tuning', name);
  const failed = (cause: unknown) =>
    new StorageError(
      `${place}: expected to be read and written, got ${(cause as Error).message}; set XDG_CACHE_HOME to a folder that can be written`,
      { cause },
    );
  return {
    place,
    async read() {
      try {
        return await readFile(place, 'utf8');
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
        throw failed(error);
      }
    },
    async write(text) {
      try {
        await writeCached(place, text);
      } catch (error) {
        throw failed((error as Error).cause ?? error);
      }
    },
  };
}
