import assert from 'node:assert/strict';
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { DisposedError, FormatError } from '../../../src/tensor/errors.ts';
import { type ByteSource, blobSource, bytesSource } from '../../../src/tensor/source/bytes.ts';
import { fileSource } from '../../../src/tensor/source/file-node.ts';
import { urlSource } from '../../../src/tensor/source/url-source.ts';
import { serveFolder } from '../../support/static-server.ts';

const CONTENT = Uint8Array.from({ length: 5000 }, (_, i) => (i * i) % 251);

describe('a byte source', () => {
  let folder: string;
  let server: Awaited<ReturnType<typeof serveFolder>>;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rasterline-bytes-'));
    await writeFile(join(folder, 'weights.bin'), CONTENT);
    server = await serveFolder(folder);
  });
  after(async () => {
    await server.close();
    await rm(folder, { recursive: true });
  });

  const kinds: Readonly<Record<string, () => ByteSource | Promise<ByteSource>>> = {
    'an ArrayBuffer': () => bytesSource('weights.bin', CONTENT.buffer),
    'a part of a larger buffer': () => bytesSource('weights.bin', new Uint8Array([9, ...CONTENT, 9]).subarray(1, -1)),
    'a Blob': () => blobSource('weights.bin', new Blob([CONTENT])),
    'a file': () => fileSource(join(folder, 'weights.bin')),
    'a server': () => urlSource(`${server.url}weights.bin`),
  };
  for (const [kind, open] of Object.entries(kinds)) {
    it(`over ${kind} reads any range as a fresh copy, and refuses what is past the end by its name`, async () => {
      const source = await open();
      const number = fc.oneof(
        fc.nat({ max: 6000 }),
        fc.constantFrom(-1, 0.5, Number.NaN, 2 ** 53, Number.POSITIVE_INFINITY),
      );

      assert.equal(source.size, CONTENT.length);
      const ranges = fc.asyncProperty(number, number, async (offset, length) => {
        const isWithin =
          Number.isInteger(offset) &&
          Number.isInteger(length) &&
          offset >= 0 &&
          length >= 0 &&
          offset + length <= CONTENT.length;
        if (isWithin) assert.deepEqual(await source.read(offset, length), CONTENT.slice(offset, offset + length));
        else
          await assert.rejects(
            source.read(offset, length),
            isFormatError(/weights\.bin: expected at most 5000 bytes, got/),
          );
      });
      await fc.assert(ranges, {
        numRuns: 200,
        examples: [
          [0, 5000],
          [5000, 0],
          [5000, 1],
        ],
      });

      const copy = await source.read(0, 4);
      copy.fill(255);
      assert.deepEqual(await source.read(0, 4), CONTENT.slice(0, 4));

      await source.close();
      await source.close();
      await assert.rejects(source.read(0, 1), DisposedError);
    });
  }
});

describe('fileSource', () => {
  it('says what to do about a missing file and about a folder', async () => {
    await assert.rejects(
      fileSource('/nowhere/model.pt'),
      isFormatError(/model\.pt: expected .*, got no such file; check/),
    );
    await assert.rejects(fileSource(tmpdir()), isFormatError(/expected a checkpoint file, got a directory; name/));
  });

  it('reports a file that becomes shorter while it is open', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'rasterline-bytes-'));
    const path = join(folder, 'model.pt');
    await writeFile(path, CONTENT);
    const source = await fileSource(path);

    await truncate(path, 100);

    await assert.rejects(
      source.read(0, 200),
      isFormatError(/expected 200 bytes at 0, got 100; the file became shorter/),
    );
    await source.close();
    await rm(folder, { recursive: true });
  });
});

describe('urlSource', () => {
  it('asks for one byte to open, and for exactly what is read after that', async () => {
    const asked: (string | null)[] = [];
    const source = await urlSource('http://host/model.pt', {
      fetch: async (_url, init) => {
        const range = new Headers(init?.headers).get('range');
        asked.push(range);
        return answer(range, CONTENT);
      },
    });

    await source.read(10, 5);

    assert.deepEqual(asked, ['bytes=0-0', 'bytes=10-14']);
  });

  it('asks for the size apart where content-range is hidden, as it is across origins', async () => {
    const source = await urlSource('http://host/model.pt', {
      fetch: async (_url, init) => {
        if (init?.method === 'HEAD') return new Response(null, { headers: { 'content-length': '5000' } });
        const response = answer(new Headers(init?.headers).get('range'), CONTENT);
        response.headers.delete('content-range');
        return response;
      },
    });

    assert.equal(source.size, 5000);
    assert.deepEqual(await source.read(4990, 10), CONTENT.slice(4990));
  });

  it('takes a small file whole, in one request, from a server that ignores ranges', async () => {
    let requests = 0;
    const respond = async () => {
      requests++;
      return new Response(CONTENT);
    };

    const source = await urlSource('http://host/model.pt', { fetch: respond });

    assert.equal(source.size, CONTENT.length);
    assert.deepEqual(await source.read(10, 5), CONTENT.slice(10, 15));
    assert.deepEqual(await source.read(4990, 10), CONTENT.slice(4990));
    assert.equal(requests, 1);
  });

  it('takes a whole file again when the connection is cut in the middle of it', async () => {
    let requests = 0;
    const cut = () =>
      new ReadableStream<Uint8Array>({
        start: (controller) => controller.enqueue(CONTENT.slice(0, 7)),
        pull: (controller) => controller.error(new Error('cut')),
      });

    const source = await urlSource('http://host/model.pt', {
      retryDelayMs: 1,
      fetch: async () => new Response(requests++ === 0 ? cut() : CONTENT),
    });

    assert.deepEqual([source.size, requests], [CONTENT.length, 2]);
  });

  it('takes an empty file for one of no bytes', async () => {
    const response = () => new Response(null, { status: 416, headers: { 'content-range': 'bytes */0' } });

    assert.equal((await urlSource('http://host/empty', { fetch: async () => response() })).size, 0);
  });

  const refusals: Readonly<Record<string, [() => Response | Promise<Response>, RegExp]>> = {
    'a file that is not there': [
      () => new Response('no', { status: 404, statusText: 'Not Found' }),
      /got 404 Not Found; check/,
    ],
    'a server that fails': [() => new Response('no', { status: 503 }), /expected status 206, got 503$/],
    'a large file from a server that ignores ranges': [
      () => new Response(CONTENT, { headers: { 'content-length': String(64 * 2 ** 20 + 1) } }),
      /expected at most 67108864 bytes \(the server ignores ranges, so download .*\), got 67108865/,
    ],
    'the same where the server states no size': [
      () => new Response(new Blob(Array.from({ length: 65 }, () => new Uint8Array(2 ** 20))).stream()),
      /expected at most 67108864 bytes \(the server ignores ranges, .*, got \d+/,
    ],
    'no connection': [
      () => Promise.reject(new TypeError('fetch failed', { cause: new Error('ECONNREFUSED') })),
      /ECONNREFUSED/,
    ],
    'a size that nobody states': [() => new Response('x', { status: 206 }), /expected a content-length, got none/],
  };
  for (const [what, [respond, message]] of Object.entries(refusals)) {
    it(`refuses ${what}`, async () => {
      await assert.rejects(
        urlSource('http://host/model.pt', { fetch: async () => respond(), retryDelayMs: 1 }),
        isFormatError(message),
      );
    });
  }

  const lies: Readonly<Record<string, [(range: string | null) => Response, RegExp]>> = {
    'fewer bytes than asked for': [
      () => new Response(new Uint8Array(0), { status: 206 }),
      /expected an answer of 8 bytes, got 0/,
    ],
    'more bytes than asked for': [
      () => new Response(new Uint8Array(9), { status: 206 }),
      /answer of 8 bytes, got more/,
    ],
    'another range': [
      () => answer('bytes=1-8', CONTENT),
      /expected bytes 0-7 of 5000, got content-range bytes 1-8\/5000; the file changed/,
    ],
    'a file that has changed its size': [(range) => answer(range, CONTENT.subarray(1)), /of 5000, got .*\/4999/],
  };
  for (const [what, [respond, message]] of Object.entries(lies)) {
    it(`refuses an answer of ${what}`, async () => {
      let isOpen = false;
      const source = await urlSource('http://host/model.pt', {
        retryDelayMs: 1,
        fetch: async (_url, init) => {
          const range = new Headers(init?.headers).get('range');
          return isOpen ? respond(range) : answer(range, CONTENT);
        },
      });
      isOpen = true;

      await assert.rejects(source.read(0, 8), isFormatError(message));
    });
  }

  it('ends with the reason of its signal', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const options = {
      signal: controller.signal,
      fetch: async (_url: unknown, init?: RequestInit) => {
        init?.signal?.throwIfAborted();
        return answer(new Headers(init?.headers).get('range'), CONTENT);
      },
    };
    const source = await urlSource('http://host/model.pt', options);

    controller.abort(reason);

    await assert.rejects(source.read(0, 8), reason);
    await assert.rejects(urlSource('http://host/model.pt', options), reason);
  });
});

function answer(range: string | null, content: Uint8Array<ArrayBuffer>): Response {
  const [first, last] = (range?.slice('bytes='.length).split('-') ?? []).map(Number) as [number, number];
  const headers = { 'content-range': `bytes ${first}-${last}/${content.length}` };
  return new Response(content.slice(first, last + 1), { status: 206, headers });
}

function isFormatError(message: RegExp) {
  return (error: unknown) => {
    assert(error instanceof FormatError, String(error));
    assert.match(error.message, message);
    return true;
  };
}
