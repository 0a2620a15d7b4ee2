import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { openFiles } from '../../../src/tensor/checkpoint/open-files.ts';
import { openShards } from '../../../src/tensor/checkpoint/sharded.ts';
import { Weights } from '../../../src/tensor/checkpoint/weights.ts';
import { FormatError, NotFoundError } from '../../../src/tensor/errors.ts';
import { type ByteSource, bytesSource } from '../../../src/tensor/source/bytes.ts';
import { pickedSet } from '../../../src/tensor/source/file-set.ts';
import { safetensors } from '../../support/safetensors-file.ts';

const SHARDS: Readonly<Record<string, Uint8Array<ArrayBuffer>>> = {
  'model-00001-of-00002.safetensors': safetensors({ a: Float32Array.of(1, 2), b: Float32Array.of(3) }),
  'model-00002-of-00002.safetensors': safetensors({ c: Float32Array.of(4, 5, 6) }),
};
const [ONE, TWO] = Object.keys(SHARDS) as [string, string];
const INDEX = JSON.stringify({ metadata: { total_size: 24 }, weight_map: { a: ONE, b: ONE, c: TWO } });

describe('a sharded checkpoint', () => {
  const source = (text: string | Uint8Array<ArrayBuffer>): ByteSource =>
    bytesSource('index.json', typeof text === 'string' ? new TextEncoder().encode(text) : text);
  const asked: string[] = [];
  const open = async (file: string) => {
    asked.push(file);
    const bytes = SHARDS[file];
    if (!bytes) throw new NotFoundError(`${file}: expected a readable file, got no such file`);
    return bytesSource(file, bytes);
  };

  it('has the tensors of all shards, and closes them with itself', async () => {
    const checkpoint = await openShards(source(INDEX), open);
    assert.deepEqual([...checkpoint.tensors.keys()], ['a', 'b', 'c']);
    const weights = new Weights(checkpoint);
    assert.deepEqual([...(await weights.values('c', [3]))], [4, 5, 6]);
    assert.deepEqual([...(await weights.values('a', [2]))], [1, 2]);
    await checkpoint.close();
    await assert.rejects(checkpoint.tensors.get('a')!.read());
  });

  it('is found in a folder, by its index, and among picked files', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'rasterline-shards-'));
    await writeFile(join(folder, 'model.safetensors.index.json'), INDEX);
    for (const [file, bytes] of Object.entries(SHARDS)) await writeFile(join(folder, file), bytes);
    const picked = [
      new File([INDEX], 'model.safetensors.index.json'),
      ...Object.entries(SHARDS).map(([file, bytes]) => new File([bytes], file)),
    ];
    for (const place of [folder, join(folder, 'model.safetensors.index.json'), pickedSet(picked)]) {
      const { checkpoint, files } = await openFiles(place);
      assert.equal(checkpoint.tensors.size, 3);
      assert.ok(files);
      await checkpoint.close();
    }
    await assert.rejects(openFiles(pickedSet(picked.slice(0, 2))), (error) => {
      assert.ok(error instanceof NotFoundError);
      assert.match(error.message, new RegExp(`expected a file ${TWO}, got none`));
      return true;
    });
    await rm(folder, { recursive: true });
  });

  const refused: Readonly<Record<string, [index: string, message: RegExp]>> = {
    'a tensor that its shard lacks': [
      JSON.stringify({ weight_map: { a: TWO } }),
      /expected a tensor a in model-00002.*, got none/,
    ],
    'a shard that is missing': [
      JSON.stringify({ weight_map: { a: 'gone.safetensors' } }),
      /gone\.safetensors: expected/,
    ],
    'a file in another folder': [
      JSON.stringify({ weight_map: { a: '../secret' } }),
      /expected a file beside the index/,
    ],
    'a file below': [JSON.stringify({ weight_map: { a: 'x/y' } }), /expected a file beside the index/],
    'an absolute path': [JSON.stringify({ weight_map: { a: '/etc/passwd' } }), /expected a file beside the index/],
    'an address': [JSON.stringify({ weight_map: { a: 'http://host/x' } }), /expected a file beside the index/],
    'a file with two dots': [JSON.stringify({ weight_map: { a: 'x..y' } }), /expected a file beside the index/],
    'a file that is no text': [JSON.stringify({ weight_map: { a: 7 } }), /expected a file beside the index/],
    'no tensors': [JSON.stringify({ weight_map: {} }), /expected 1 to 1000 files, got 0/],
    'no map': ['{}', /expected an index, JSON with a weight_map/],
    'no JSON': ['<html>', /expected an index, JSON with a weight_map/],
  };
  for (const [what, [index, message]] of Object.entries(refused)) {
    it(`refuses ${what}`, async () => {
      await assert.rejects(openShards(source(index), open), (error) => {
        assert.ok(error instanceof FormatError);
        assert.match(error.message, message);
        return true;
      });
    });
  }

  it('meets any damage to the index with a FormatError, or with tensors of its shards, and asks for no other file', async () => {
    const bytes = new TextEncoder().encode(INDEX);
    const change = fc.record({ at: fc.nat({ max: bytes.length - 1 }), value: fc.nat({ max: 255 }) });
    const property = fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 6 }), async (changes) => {
      const damaged = bytes.slice();
      for (const { at, value } of changes) damaged[at] = value;
      asked.length = 0;
      try {
        const checkpoint = await openShards(source(damaged), open);
        for (const tensor of checkpoint.tensors.values()) await tensor.read();
        await checkpoint.close();
      } catch (error) {
        assert.ok(error instanceof FormatError, String(error));
      }
      for (const file of asked) assert.match(file, /^[A-Za-z0-9_][\w.-]*$/);
    });
    await fc.assert(property, { numRuns: 500 });
  });
});
