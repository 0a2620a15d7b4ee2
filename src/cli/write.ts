/** Files that are whole or not there. */

import { randomUUID } from 'node:crypto';
import { access, constants, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { OptionError } from '../tensor/errors.ts';

/** Throws OptionError unless a file can be made at `path`: asked before a long run, not after it. */
export async function expectWritable(path: string): Promise<void> {
  const folder = dirname(path);
  const reason = await access(folder, constants.W_OK).then(
    async () => ((await stat(path).catch(() => undefined))?.isDirectory() ? 'a directory' : undefined),
    (error: NodeJS.ErrnoException) =>
      error.code === 'ENOENT' ? `no folder ${folder}` : `no permission to write to ${folder}`,
  );
  if (reason) throw new OptionError(`out: expected a file that can be written, got ${path}: ${reason}`);
}

/** Written beside its place, then renamed. */
export async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${path}.${randomUUID()}.part`;
  try {
    await writeFile(temporary, bytes);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw new OptionError(`out: expected to write ${path}, got ${(error as Error).message}`);
  }
}
