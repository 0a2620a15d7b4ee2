/** Short texts in the origin's own file system. */

import { StorageError } from '../errors.ts';
import type { CachedText } from './adapter.ts';

const FOLDER = 'rasterline-tuning';

/** The text of that name; nothing is opened yet. */
export function cachedText(name: string): CachedText {
  const place = `origin private file system, ${FOLDER}/${name}`;
  const folder = async () => (await navigator.storage.getDirectory()).getDirectoryHandle(FOLDER, { create: true });
  const stored = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (cause) {
      throw new StorageError(`${place}: expected to be read and written, got ${(cause as Error).message}`, { cause });
    }
  };
  return {
    place,
    read: () =>
      stored(async () => {
        const file = await (await folder()).getFileHandle(name).catch((error: Error) => {
          if (error.name === 'NotFoundError') return undefined;
          throw error;
        });
        return await (await file?.getFile())?.text();
      }),
    write: (text) =>
      stored(async () => {
        const file = await (await folder()).getFileHandle(name, { create: true });
        const writable = await file.createWritable();
        await writable.write(text);
        await writable.close();
      }),
  };
}
