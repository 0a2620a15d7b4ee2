/** Folders of the user's cache that are filled once, by whichever process comes first. */

import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import { DeviceError } from '../errors.ts';
import { draftBeside } from './drafts-node.ts';
import { writeWhole } from './write-node.ts';

/** `$XDG_CACHE_HOME/rasterline`, else `~/.cache/rasterline`. */
export function cacheBase(): string {
  const configured = process.env.XDG_CACHE_HOME;
  const base = configured && isAbsolute(configured) ? configured : join(homedir(), '.cache');
  return join(base, 'rasterline');
}

/** A text in our cache, whole or not there, with the folders above it. */
export async function writeCached(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeWhole(path, new TextEncoder().encode(text));
}

/**
 * The folder `name` of our cache (see `cacheBase`), holding all of `files`.
 *
 * Where some are missing, `fill` writes into a folder of its own, which is then renamed: no process ever sees half of
 * it, and of several that fill at once the first wins and the others use what it made. Throws DeviceError where the
 * cache cannot be written.
 */
export async function cachedFolder(
  name: string,
  files: readonly string[],
  fill: (folder: string) => Promise<void>,
): Promise<string> {
  const folder = join(cacheBase(), name);
  if (await holds(folder, files)) return folder;
  try {
    await mkdir(dirname(folder), { recursive: true });
    const draft = await draftBeside(folder);
    try {
      await mkdir(draft);
      await fill(draft);
      await move(draft, folder, files);
    } finally {
      await rm(draft, { recursive: true, force: true });
    }
  } catch (error) {
    throw new DeviceError(
      `cache: expected to fill ${folder}, got ${(error as Error).message}; set XDG_CACHE_HOME to a folder that can be written`,
    );
  }
  return folder;
}

/** Renames `draft` to `folder`; a folder that a cleaner of caches left incomplete makes way. */
async function move(draft: string, folder: string, files: readonly string[]): Promise<void> {
  try {
    await rename(draft, folder);
  } catch (error) {
    if (await holds(folder, files)) return;
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
    const incomplete = await draftBeside(folder);
    await rename(folder, incomplete);
    await rename(draft, folder);
    await rm(incomplete, { recursive: true, force: true });
  }
}

async function holds(folder: string, files: readonly string[]): Promise<boolean> {
  const found = await Promise.all(files.map((file) => stat(join(folder, file)).catch(() => undefined)));
  return found.every((entry) => entry !== undefined);
}
