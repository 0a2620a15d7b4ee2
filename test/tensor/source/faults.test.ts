import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { openFiles } from '../../../src/tensor/checkpoint/open-files.ts';
import { FormatError, StorageError } from '../../../src/tensor/errors.ts';
import { bytesSource } from '../../../src/tensor/source/bytes.ts';
import { cachedFile } from '../../../src/tensor/source/file-cache.ts';
import { fileCache } from '../../../src/tensor/source/file-cache-node.ts';
import { openHub } from '../../../src/tensor/source/hub.ts';
import { urlSource } from '../../../src/tensor/source/url-source.ts';
import { COMMIT, type Fault, type HubServer, serveHub } from '../../support/hub-server.ts';
import { safetensors } from '../../support/safetensors-file.ts';

const REPOSITORY = { repository: 'owner/tiny', revision: 'main', file: undefined };
const VALUES = Float32Array.from({ length: 5000 }, (_, i) => i);
const FILES = new Map([['model.safetensors', safetensors({ a: VALUES })]]);

describe('a server that fails now and then', () => {
  let server: HubServer;
  before(async () => {
    server = await serveHub(FILES);
  });
  after(() => server.close());

  it('is read to the last byte, whichever requests fail, as long as none fails more often than it is tried again', async () => {
    const passing = fc.constantFrom<Fault>('none', 'none', 'cut', 'error', 'cut-error');
    const property = fc.asyncProperty(fc.array(passing, { maxLength: 8 }), async (faults) => {
      server.faults.splice(0, Number.POSITIVE_INFINITY, ...faults);
      const options = { endpoint: server.url, cache: false, retries: faults.length, retryDelayMs: 0 };

      const { checkpoint } = await openFiles('hf:owner/tiny', options);
      const bytes = await checkpoint.tensors.get('a')!.read();

      assert.deepEqual(new Float32Array(bytes.buffer), VALUES);
    });
    await fc.assert(property, { numRuns: 60 });
  });
});

describe('an answer that nobody reads', () => {
  it('may have broken off already: its status counts', async () => {
    let asked = 0;
    const broken = () => {
      const body = new ReadableStream({ start: (controller) => controller.error(new TypeError('terminated')) });
      return new Response(body, { status: 503 });
    };
    const whole = () =>
      new Response('x', { status: 206, headers: { 'content-range': 'bytes 0-0/1', 'content-length': '1' } });

    const source = await urlSource('http://host/file', {
      retryDelayMs: 0,
      fetch: async () => (++asked === 1 ? broken() : whole()),
    });

    assert.deepEqual([asked, source.size], [2, 1]);
  });
});

describe('the listing of a hub', () => {
  const listed = (siblings: unknown) => async () => Response.json({ sha: COMMIT, siblings });

  it('is asked for again when it is cut off', async () => {
    let asked = 0;
    const cut = () => {
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          controller.enqueue(new TextEncoder().encode(`{ "sha": "${COMMIT}", "sib`));
          controller.error(new TypeError('terminated'));
        },
      });
      return new Response(body);
    };
    const whole = listed([{ rfilename: 'x', size: 3 }]);

    const hub = await openHub(REPOSITORY, { retryDelayMs: 0, fetch: async () => (++asked < 3 ? cut() : whole()) });

    assert.deepEqual([asked, hub.files.get('x')?.size], [3, 3]);
  });

  it('is refused with a FormatError whatever JSON it is', async () => {
    const value = fc.oneof(fc.jsonValue(), fc.constantFrom('main', -1, 1.5, 'f'.repeat(64), null));
    const sibling = fc.oneof(
      value,
      fc.record({ rfilename: value, size: value, lfs: value, blobId: value }, { requiredKeys: [] }),
    );
    const answer = fc.oneof(
      value,
      fc.record({ sha: fc.constantFrom(COMMIT, 'main', null), siblings: fc.array(sibling) }),
    );
    const property = fc.asyncProperty(answer, async (json) => {
      try {
        const { files } = await openHub(REPOSITORY, { fetch: async () => Response.json(json) });
        for (const { size, digest } of files.values()) {
          assert.ok(Number.isSafeInteger(size) && size >= 0);
          assert.ok(digest === undefined || /^[0-9a-f]+$/.test(digest.hex));
        }
      } catch (error) {
        assert.ok(error instanceof FormatError, String(error));
      }
    });
    await fc.assert(property, { numRuns: 500 });
  });
});

describe('a fetch that does not heed its signal', () => {
  it('brings nothing into a later try', async () => {
    const content = Uint8Array.from({ length: 1000 }, (_, i) => 1 + (i % 251));
    // milliseconds before each try of the read brings its first half; the second half never comes but at the last try
    const stalls = [90, 55, 0];
    let tries = 0;
    const source = await urlSource('http://host/file', {
      timeoutMs: 60,
      retries: 9,
      retryDelayMs: 0,
      fetch: async (_url, init) => {
        const [first, last] = new Headers(init?.headers).get('range')!.match(/\d+/g)!.map(Number) as [number, number];
        const part = content.slice(first, last + 1);
        const stall = last > 0 ? (stalls[tries++] ?? 0) : 0;
        const body = new ReadableStream<Uint8Array>({
          async start(controller) {
            await new Promise((wait) => setTimeout(wait, stall));
            controller.enqueue(part.slice(0, stall > 0 ? part.length >> 1 : part.length));
            if (stall === 0) controller.close();
          },
        });
        const range = `bytes ${first}-${last}/${content.length}`;
        return new Response(body, { status: 206, headers: { 'content-range': range } });
      },
    });

    assert.deepEqual(await source.read(0, 1000), content);
  });
});

describe('two downloads of one file at once', () => {
  it('end with the file as it is, in both', async () => {
    const content = Uint8Array.from({ length: 20 * 2 ** 20 }, (_, i) => (i >> 10) % 251);
    const folder = await mkdtemp(join(tmpdir(), 'rasterline-twice-'));
    const cache = await fileCache(folder);
    const wanted = { file: 'weights', size: content.length, open: async () => bytesSource('weights', content) };

    const both = await Promise.all([cachedFile(cache, 'key', wanted), cachedFile(cache, 'key', wanted)]);

    for (const source of both) {
      assert.equal(source.size, content.length);
      assert.deepEqual(await source.read(0, source.size), content);
      await source.close();
    }
    assert.deepEqual(await readdir(folder), ['key']);
    assert.equal((await readFile(join(folder, 'key'))).length, content.length);
    await rm(folder, { recursive: true });
  });
});

describe('a full disk', () => {
  // Linux has a device that is always full
  (process.platform === 'linux' ? it : it.skip)(
    'ends a download with a StorageError that says to make room',
    async () => {
      const folder = await mkdtemp(join(tmpdir(), 'rasterline-full-'));
      await symlink('/dev/full', join(folder, 'key.part'));
      const wanted = {
        file: 'weights',
        size: 5,
        open: async () => bytesSource('weights', Uint8Array.of(1, 2, 3, 4, 5)),
      };

      await assert.rejects(cachedFile(await fileCache(folder), 'key', wanted), (error) => {
        assert.ok(error instanceof StorageError);
        assert.match(error.message, /ENOSPC.*; make room, or give another cache folder/);
        return true;
      });
      assert.deepEqual(await readdir(folder), []);
      await rm(folder, { recursive: true });
    },
  );
});
