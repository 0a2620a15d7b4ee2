import assert from 'node:assert/strict';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type FilesOptions, openFiles } from '../../../src/tensor/checkpoint/open-files.ts';
import { FormatError, NotFoundError, OptionError, StorageError } from '../../../src/tensor/errors.ts';
import { bytesSource } from '../../../src/tensor/source/bytes.ts';
import { downloads } from '../../../src/tensor/source/downloads.ts';
import { cachedFile, type FileCache } from '../../../src/tensor/source/file-cache.ts';
import { fileCache } from '../../../src/tensor/source/file-cache-node.ts';
import { type HubOptions, hubName, openHub } from '../../../src/tensor/source/hub.ts';
import { COMMIT, type HubServer, serveHub } from '../../support/hub-server.ts';
import { safetensors } from '../../support/safetensors-file.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

/** Above one piece of 8 MiB, so that a download has a middle. */
const SHARD = safetensors({ 'a.weight': Float32Array.from({ length: 3 * 2 ** 20 }, (_, i) => i % 977) });
const OTHER = safetensors({ 'b.weight': Float32Array.of(1, 2, 3, 4) });
const INDEX = new TextEncoder().encode(
  JSON.stringify({ weight_map: { 'a.weight': 'one.safetensors', 'b.weight': 'two.safetensors' } }),
);
const FILES = new Map<string, Uint8Array>([
  ['model.safetensors.index.json', INDEX],
  ['one.safetensors', SHARD],
  ['two.safetensors', OTHER],
]);
const LARGEST = 8 * 2 ** 20;

describe('a hub', () => {
  let server: HubServer;
  const folder = temporaryFolder(beforeEach, afterEach);
  let http: HubOptions;
  let options: FilesOptions;
  beforeEach(async () => {
    server = await serveHub(FILES, ['model.safetensors.index.json']);
    http = { endpoint: server.url, retryDelayMs: 1, timeoutMs: 2000 };
    options = { ...http, cache: folder() };
  });
  afterEach(() => server.close());

  const readAll = async (name: string, given: FilesOptions) => {
    const { checkpoint } = await openFiles(name, given);
    const bytes = await checkpoint.tensors.get('a.weight')!.read();
    assert.equal(checkpoint.tensors.size, 2);
    await checkpoint.close();
    return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  };

  it('gives the shards of an index as one checkpoint, from one commit, kept on disk under their hashes', async () => {
    const seen: number[] = [];
    const values = await readAll('hf:owner/tiny', {
      ...options,
      onDownload: ({ file, loadedBytes, totalBytes }) => {
        if (file.endsWith('one.safetensors')) seen.push(loadedBytes / totalBytes);
      },
    });
    assert.equal(values[978], 1);
    assert.equal(seen.at(-1), 1);
    assert.ok(server.log.some(({ path }) => path === `/owner/tiny/resolve/${COMMIT}/one.safetensors`));
    const kept = await readdir(folder());
    assert.equal(kept.filter((name) => !name.endsWith('.verified')).length, 3);
    assert.ok(!kept.some((name) => name.endsWith('.part')));

    const before = server.log.length;
    await readAll('hf:owner/tiny@v1', options);
    assert.equal(server.log.length, before + 1); // the commit alone is asked for again
  });

  it('asks nothing of the server for a commit that it has, and gives it without one', async () => {
    await readAll(`hf:owner/tiny@${COMMIT}`, options);
    const before = server.log.length;

    const values = await readAll(`hf:owner/tiny@${COMMIT}`, { ...options, endpoint: 'http://127.0.0.1:1' });

    assert.equal(values[978], 1);
    assert.equal(server.log.length, before);
  });

  it('reads ranges straight from the server without a cache, never more than the slice that is asked for', async () => {
    const { checkpoint } = await openFiles('hf:owner/tiny', { ...options, cache: false });
    const slice = await checkpoint.tensors.get('a.weight')!.read(400, 4);
    assert.equal(new Float32Array(slice.buffer, slice.byteOffset, 1)[0], 100);
    await checkpoint.close();
    for (const { range } of server.log.filter(({ host, path }) => host === 'cdn' && !path.endsWith('.json'))) {
      const [first, last] = range!.slice('bytes='.length).split('-').map(Number) as [number, number];
      assert.ok(last - first < 4096, range);
    }
    assert.deepEqual(await readdir(folder()), []);
  });

  it('sends a token to the hub, and not to the host that the hub sends us on to', async () => {
    await readAll('hf:owner/tiny', { ...options, token: 'secret' });
    assert.ok(server.log.filter(({ host }) => host === 'hub').every(({ token }) => token === 'Bearer secret'));
    const cdn = server.log.filter(({ host }) => host === 'cdn');
    assert.ok(cdn.length > 0 && cdn.every(({ token }) => token === undefined));
  });

  for (const fault of ['cut', 'short', 'error'] as const) {
    it(`goes on after an answer that was ${fault}, from the byte it had come to`, async () => {
      server.faults.push('none', fault, fault); // the first asks for one byte of the index
      assert.equal((await readAll('hf:owner/tiny', options))[977 + 5], 5);
    });
  }

  it('gives up after its retries, on a server that hangs in time, and keeps what it has for the next run', async () => {
    const short = { ...options, timeoutMs: 100, retries: 1 };
    // index: size, bytes; shard one: size, first piece; then nothing comes
    server.faults.push('none', 'none', 'none', 'none', 'hang', 'hang');
    await assert.rejects(readAll('hf:owner/tiny', short), (error) => {
      assert.ok(error instanceof FormatError);
      assert.match(error.message, /expected bytes within 100 ms, and 16 kB\/s, got \d+ bytes/);
      return true;
    });
    const [part] = (await readdir(folder())).filter((name) => name.endsWith('.part'));
    assert.equal((await readFile(join(folder(), part!))).length, LARGEST);

    const before = server.log.length;
    assert.equal((await readAll('hf:owner/tiny', options))[1], 1);
    const ranges = server.log
      .slice(before)
      .filter(({ path }) => path.includes('one.safetensors') && !path.includes('resolve'));
    assert.ok(ranges.some(({ range }) => range?.startsWith(`bytes=${LARGEST}-`)));
    assert.ok(!ranges.some(({ range }) => range === `bytes=0-${LARGEST - 1}`));
  });

  it('ends at once with the reason of its signal, while a server hangs too', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    server.faults.push('none', 'none', 'none', 'hang');
    setTimeout(() => controller.abort(reason), 200);
    await assert.rejects(
      readAll('hf:owner/tiny', { ...options, timeoutMs: 10 ** 6, signal: controller.signal }),
      reason,
    );
  });

  it('takes a small file whole from a server that ignores ranges, but not one that begins to while it is read', async () => {
    const uncached = { ...options, cache: false };
    const expected = await readAll('hf:owner/tiny', uncached);
    server.faults.push('none', 'none', 'ignore-range');
    assert.deepEqual(await readAll('hf:owner/tiny', uncached), expected);
    server.faults.push('none', 'none', 'none', 'ignore-range');
    await assert.rejects(readAll('hf:owner/tiny', uncached), isFormatError(/the server ignores ranges/));
  });

  it('refuses a file that changes between two reads', async () => {
    server.faults.push('none', 'none', 'none', 'changed');
    await assert.rejects(readAll('hf:owner/tiny', options), isFormatError(/got etag "other"; the file changed/));
  });

  it('removes a download whose hash is wrong, and never gives it', async () => {
    const cache = await fileCache(folder());
    const hub = await openHub({ repository: 'owner/tiny', revision: 'main', file: undefined }, http);
    const wanted = {
      file: 'one.safetensors',
      size: SHARD.length,
      digest: { kind: 'sha256', hex: '0'.repeat(64) } as const,
      open: () => hub.open('one.safetensors'),
    };
    await assert.rejects(cachedFile(cache, 'key', wanted), isFormatError(/of sha256 0{64}, got .*; it was removed/));
    assert.deepEqual(await readdir(folder()), []);
    await writeFile(join(folder(), 'key.part'), SHARD.subarray(0, 100).fill(7)); // someone else's bytes
    await assert.rejects(
      cachedFile(cache, 'key', { ...wanted, digest: hub.files.get('one.safetensors')!.digest }),
      FormatError,
    );
    assert.deepEqual(await readdir(folder()), []);
  });

  it('verifies what git holds by the hash that git gives it', async () => {
    const cache = await fileCache(folder());
    const wanted = (content: string) => ({
      file: 'hello.txt',
      size: 6,
      digest: { kind: 'git-sha1', hex: 'ce013625030ba8dba906f756967f9e9ca394464a' } as const, // of git hash-object
      open: async () => bytesSource('hello.txt', new TextEncoder().encode(content)),
    });
    await assert.rejects(cachedFile(cache, 'key', wanted('jello\n')), isFormatError(/of git-sha1 ce01/));
    assert.deepEqual(await readdir(folder()), []);
    const source = await cachedFile(cache, 'key', wanted('hello\n'));
    assert.equal(new TextDecoder().decode(await source.read(0, 6)), 'hello\n');
    await source.close();
  });

  it('lists what it keeps by where it came from, and deletes that alone', async () => {
    const kept = await downloads(folder());
    await openFiles('hf:owner/tiny', options).catch(() => undefined); // not every shard is one
    const files = await kept.list();
    const sizes = await Promise.all(files.map(async ({ key }) => (await stat(join(folder(), key))).size));
    assert.ok(files.some(({ name, isWhole }) => isWhole && name.startsWith('hf:owner/tiny@main/')));
    assert.deepEqual(
      files.map(({ bytes }) => bytes),
      sizes,
    );
    assert.equal(
      await kept.bytes(),
      sizes.reduce((sum, size) => sum + size, 0),
    );
    for (const key of ['..', '../other', 'none']) await assert.rejects(kept.delete(key), OptionError);
    await kept.delete(files[0]!.key);
    assert.equal((await kept.list()).length, files.length - 1);
    await kept.clear();
    assert.deepEqual(await readdir(folder()), []);
    assert.equal(await kept.bytes(), 0);
  });

  it('says before a download that there is no room for it', async () => {
    const real = await fileCache(folder());
    const small: FileCache = { ...real, room: async () => 3 };
    let opened = 0;
    const wanted = { file: 'two.safetensors', size: 1_400_000_000, open: () => Promise.reject(++opened) };
    await assert.rejects(
      cachedFile(small, 'key', wanted),
      /StorageError: .*expected room for 1.400 GB more of two.safetensors, got 0.000 GB/,
    );
    assert.equal(opened, 0);
  });

  it('keeps what it has when the disk is full, says so, and goes on from there', async () => {
    const real = await fileCache(folder());
    const full: FileCache = {
      ...real,
      resume: async (key) => {
        const download = await real.resume(key);
        return Object.defineProperty(Object.create(download), 'append', {
          value: async (bytes: Uint8Array<ArrayBuffer>) => {
            await download.append(bytes.slice(0, 9));
            throw new StorageError('disk: expected to write, got no space left on device; make room');
          },
        });
      },
    };
    const hub = await openHub({ repository: 'owner/tiny', revision: 'main', file: undefined }, http);
    const wanted = { file: 'two.safetensors', size: OTHER.length, open: () => hub.open('two.safetensors') };
    await assert.rejects(cachedFile(full, 'key', wanted), StorageError);
    assert.deepEqual(await readdir(folder()), ['key.part']);
    const source = await cachedFile(real, 'key', wanted);
    assert.deepEqual(Buffer.from(await source.read(0, source.size)), Buffer.from(OTHER));
    await source.close();
    assert.ok(server.log.some(({ range }) => range?.startsWith('bytes=9-')));
    const nowhere = await fileCache(join(folder(), 'file', 'below'));
    await writeFile(join(folder(), 'file'), '');
    await assert.rejects(cachedFile(nowhere, 'key', wanted), StorageError);
  });

  it('names what is not there: a file, a revision, a repository, a checkpoint', async () => {
    await assert.rejects(openFiles('hf:owner/tiny/three.safetensors', options), isFormatError(/expected one of three/));
    await assert.rejects(openFiles('hf:owner/tiny@v2', options), NotFoundError);
    await assert.rejects(openFiles('hf:owner/other', options), NotFoundError);
    await assert.rejects(openFiles(folder(), options), isFormatError(/expected one of model\.safetensors, /));
    for (const name of ['hf:owner', 'hf:', 'hf:a/b/../c', 'hf:a/b@../x'])
      assert.throws(() => hubName(name), OptionError);
    assert.deepEqual(hubName('hf:a/b.c@v1/d/e.pt'), { repository: 'a/b.c', revision: 'v1', file: 'd/e.pt' });
    assert.deepEqual(hubName('hf:a/b@refs/pr/3/c.pt'), { repository: 'a/b', revision: 'refs/pr/3', file: 'c.pt' });
    assert.deepEqual(hubName('hf:a/b@my%2Fbranch/c.pt'), { repository: 'a/b', revision: 'my/branch', file: 'c.pt' });
    assert.equal(hubName('a/b'), undefined);
  });

  function isFormatError(message: RegExp) {
    return (error: unknown) => {
      assert.ok(error instanceof FormatError);
      assert.match(error.message, message);
      return true;
    };
  }
});
