import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
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

describe('a place in the cache that is taken', () => {
  const wanted = { file: 'weights', size: 5, open: async () => bytesSource('weights', Uint8Array.of(1, 2, 3, 4, 5)) };

  it('by a link is not written through it', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'rasterline-link-'));
    await writeFile(join(folder, 'mine'), 'mine');
    await symlink(join(folder, 'mine'), join(folder, 'key.part'));

    await assert.rejects(cachedFile(await fileCache(folder), 'key', wanted), (error) => {
      assert.ok(error instanceof StorageError);
      assert.match(error.message, /ELOOP.*; it is a link, which is not followed; remove it/);
      return true;
    });

    assert.equal(await readFile(join(folder, 'mine'), 'utf8'), 'mine');
    await rm(folder, { recursive: true });
  });

  it('by a folder is a StorageError', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'rasterline-folder-'));
    await mkdir(join(folder, 'key.part'));

    await assert.rejects(cachedFile(await fileCache(folder), 'key', wanted), StorageError);

    await rm(folder, { recursive: true });
  });
});

describe('a finished file of the cache', () => {
  const content = Uint8Array.of(1, 2, 3, 4, 5);
  const hex = createHash('sha256').update(content).digest('hex');

  it('that somebody changed, its size and times kept, is downloaded again; one that is as it was is not', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'rasterline-changed-'));
    const cache = await fileCache(folder);
    let opened = 0;
    const wanted = {
      file: 'weights',
      size: 5,
      digest: { kind: 'sha256', hex } as const,
      open: async () => {
        opened++;
        return bytesSource('weights', content);
      },
    };
    const load = async () => {
      const source = await cachedFile(cache, 'key', wanted);
      const bytes = await source.read(0, 5);
      await source.close();
      return bytes;
    };
    await load();
    await load();
    assert.equal(opened, 1);
    const { atime, mtime } = await stat(join(folder, 'key'));
    await writeFile(join(folder, 'key'), Uint8Array.of(9, 9, 9, 9, 9));
    await utimes(join(folder, 'key'), atime, mtime);

    assert.deepEqual(await load(), content);
    assert.equal(opened, 2);
    await utimes(join(folder, 'key'), atime, mtime); // touched alone
    assert.deepEqual(await load(), content);
    assert.equal(opened, 2);
    await rm(folder, { recursive: true });
  });
});

describe('an answer without an end', () => {
  const endless = (chunk: Uint8Array) => {
    let sent = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent += chunk.length;
        assert.ok(sent < 2 ** 28, 'reads on and on');
        controller.enqueue(chunk);
      },
    });
    return new Response(body);
  };

  it('is read no further than its limit, which the error names', async () => {
    const fetch = async () => endless(new Uint8Array(2 ** 20).fill(32));

    await assert.rejects(
      openHub(REPOSITORY, { fetch }),
      isFormatError(/expected at most 16777216 bytes of a listing, got/),
    );
    await assert.rejects(urlSource('http://host/file', { fetch }), isFormatError(/expected at most 67108864 bytes/));
  });

  it('is given up when it trickles', async () => {
    const fetch = async () =>
      new Response(
        new ReadableStream<Uint8Array>({
          async pull(controller) {
            await new Promise((wait) => setTimeout(wait, 10));
            controller.enqueue(Uint8Array.of(32));
          },
        }),
      );

    await assert.rejects(
      openHub(REPOSITORY, { fetch, timeoutMs: 100, retries: 1, retryDelayMs: 0 }),
      isFormatError(/expected bytes within 100 ms, and 16 kB\/s, got \d+ bytes in \d+ ms/),
    );
  });
});

describe('a server that asks to wait', () => {
  const busy = (status: number, headers: Record<string, string>) => {
    let asked = 0;
    const fetch = async () => {
      asked++;
      return new Response('', { status, headers });
    };
    return { fetch, asked: () => asked };
  };

  it('is asked again no sooner than it says', async () => {
    const { fetch, asked } = busy(503, { 'retry-after': '1' });
    const start = Date.now();

    await assert.rejects(openHub(REPOSITORY, { fetch, retries: 1, retryDelayMs: 0 }), FormatError);

    assert.equal(asked(), 2);
    assert.ok(Date.now() - start >= 990);
  });

  it('for an hour is not waited for, nor one asked again whose answer will not change', async () => {
    const hour = busy(429, { 'retry-after': '3600' });
    await assert.rejects(openHub(REPOSITORY, { fetch: hour.fetch }), isFormatError(/asks to come back in 3600 s/));
    assert.equal(hour.asked(), 1);
    for (const status of [400, 404, 410, 501, 505, 511]) {
      const { fetch, asked } = busy(status, {});
      await assert.rejects(openHub(REPOSITORY, { fetch }), FormatError);
      assert.equal(asked(), 1);
    }
  });
});

function isFormatError(message: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof FormatError, String(error));
    assert.match(error.message, message);
    return true;
  };
}
