/** Names for what is not whole yet, and the end of what was never finished because its process was killed. */

import { createHash, randomUUID } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { readdir, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';

/** Nobody works on a file for so long without writing to it. */
const ABANDONED_MS = 24 * 3600 * 1000;

/** Short, so that it fits wherever a file's own name does. */
const DRAFT = /^\.rasterline-([0-9a-f]{8})-(\d+)-[0-9a-f]{8}\.part$/;

/** Folders that this process has looked through. */
const swept = new Set<string>();

/** A place beside `path` that nothing has, from which it can be renamed. What killed processes left there is removed. */
export async function draftBeside(path: string): Promise<string> {
  const folder = dirname(path);
  if (!swept.has(folder)) await removeAbandoned(folder);
  swept.add(folder);
  return join(folder, `.rasterline-${machine()}-${process.pid}-${randomUUID().slice(0, 8)}.part`);
}

/** Removes drafts of processes of this machine that are gone, and of any that were not written to for a day. */
export async function removeAbandoned(folder: string): Promise<void> {
  const names = await readdir(folder).catch(() => []); // whoever writes is told what is wrong with it
  for (const name of names) {
    const path = join(folder, name);
    if (await isAbandoned(path, DRAFT.exec(name)))
      await rm(path, { recursive: true, force: true }).catch(() => undefined);
  }
}

async function isAbandoned(path: string, draft: RegExpExecArray | null): Promise<boolean> {
  if (!draft) return false;
  const [, where, pid] = draft;
  if (where === machine() && !isRunning(Number(pid))) return true;
  const status = await stat(path).catch(() => undefined);
  return status !== undefined && Date.now() - status.mtimeMs > ABANDONED_MS;
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

/** Where process numbers mean the same: one start of one machine, on Linux one container of it. */
function machine(): string {
  const told = [
    () => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8'),
    () => readlinkSync('/proc/self/ns/pid'),
  ].map((tell) => {
    try {
      return tell();
    } catch {
      return '';
    }
  });
  return createHash('sha256')
    .update([hostname(), ...told].join())
    .digest('hex')
    .slice(0, 8);
}
