/** Faults of the machine: files that change, caches that others write to, sources that lie, aborts at any time. */

import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openCheckpoint } from '../../src/tensor/checkpoint/checkpoint.ts';
import { openFiles } from '../../src/tensor/checkpoint/open-files.ts';
import { type ByteSource, bytesSource } from '../../src/tensor/source/bytes.ts';
import { cachedFile } from '../../src/tensor/source/file-cache.ts';
import { fileCache } from '../../src/tensor/source/file-cache-node.ts';
import { safetensors } from '../support/safetensors-file.ts';
import type { Attack, Case, Chance } from './attack.ts';

const FILE = safetensors({ a: Float32Array.from({ length: 5000 }, (_, i) => i) });
const HEX = createHash('sha256').update(FILE).digest('hex');

/** The reason that aborts give; to meet it is right. */
class Enough extends Error {}

const SCRIPTS: readonly ((folder: string, chance: Chance) => Case)[] = [
  (folder, { below, pick }) => ({
    what: 'a cache that others write to',
    async end() {
      const cache = await fileCache(folder);
      const spoil = pick<() => Promise<unknown>>([
        () =>
          writeFile(
            join(folder, 'key'),
            FILE.map((byte) => byte ^ 1),
          ),
        () => writeFile(join(folder, 'key.part'), new Uint8Array(below(3 * FILE.length))),
        () => mkdir(join(folder, 'key.part')),
        () => mkdir(join(folder, 'key')),
        () => symlink('/dev/null', join(folder, 'key.part')),
        () => writeFile(join(folder, 'key.verified'), HEX),
        () => symlink(join(folder, 'key.part'), join(folder, 'key.part')),
      ]);
      await spoil();
      const controller = new AbortController();
      const wanted = {
        file: 'f',
        size: FILE.length,
        digest: { kind: 'sha256', hex: HEX } as const,
        open: async () => {
          if (below(4) === 0) controller.abort(new Enough());
          return bytesSource('f', FILE);
        },
      };
      const source = await cachedFile(cache, 'key', wanted, { signal: controller.signal });
      const bytes = await source.read(0, source.size);
      await source.close();
      if (createHash('sha256').update(bytes).digest('hex') !== HEX) throw new Error('other bytes were given');
    },
  }),
  (folder, { below }) => ({
    what: 'a file that becomes shorter',
    async end() {
      const path = join(folder, 'model.safetensors');
      await writeFile(path, FILE);
      const { checkpoint } = await openFiles(folder);
      await truncate(path, below(FILE.length));
      await checkpoint.tensors.get('a')!.read();
    },
  }),
  (_, { below, pick }) => ({
    what: 'a source that lies',
    async end() {
      const size = pick([FILE.length, 0, 9, 2 ** 40, FILE.length + 1]);
      const lying: ByteSource = {
        name: 'liar',
        size,
        read: async (offset, length) =>
          pick([
            () => FILE.slice(offset, offset + length),
            () => new Uint8Array(below(20)),
            () => 'text' as never,
            () => undefined as never,
            () => new Float32Array(length) as never,
          ])(),
        close: async () => undefined,
      };
      const checkpoint = await openCheckpoint(lying);
      for (const tensor of checkpoint.tensors.values()) await tensor.read();
    },
  }),
  (folder, { below }) => ({
    what: 'an abort at any time',
    async end() {
      const cache = await fileCache(folder);
      const controller = new AbortController();
      let reads = below(4);
      const wanted = {
        file: 'f',
        size: FILE.length,
        digest: { kind: 'sha256', hex: HEX } as const,
        open: async (): Promise<ByteSource> => ({
          ...bytesSource('f', FILE),
          async read(offset, length) {
            if (reads-- <= 0) controller.abort(new Enough());
            controller.signal.throwIfAborted();
            return FILE.slice(offset, offset + length);
          },
        }),
      };
      await cachedFile(cache, 'key', wanted, { signal: controller.signal }).catch((error) => {
        if (!(error instanceof Enough)) throw error;
      });
      const source = await cachedFile(cache, 'key', { ...wanted, open: async () => bytesSource('f', FILE) });
      await source.close();
      const left = await readdir(folder);
      if (left.some((name) => name.endsWith('.part'))) throw new Error(`left ${left}`);
    },
  }),
];

export async function faultsAttack(): Promise<Attack> {
  return {
    name: 'faults',
    async run(chance) {
      const folder = await mkdtemp(join(tmpdir(), 'rasterline-attack-'));
      const script = chance.pick(SCRIPTS)(folder, chance);
      const end = async () => {
        try {
          await script.end();
        } catch (error) {
          if (!(error instanceof Enough)) throw error;
        } finally {
          await rm(folder, { recursive: true, force: true });
        }
      };
      return { ...script, end };
    },
  };
}
