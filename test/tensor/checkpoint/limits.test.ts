import assert from 'node:assert/strict';
import { openCheckpoint } from '../../../src/tensor/checkpoint/checkpoint.ts';
import { openShards } from '../../../src/tensor/checkpoint/sharded.ts';
import { FormatError } from '../../../src/tensor/errors.ts';
import { LIMITS } from '../../../src/tensor/limits.ts';
import { type ByteSource, bytesSource } from '../../../src/tensor/source/bytes.ts';
import { parseJson } from '../../../src/tensor/source/json.ts';
import { write, writeTorch } from './torch/torch-writer.ts';

const empty = '{"dtype":"F32","shape":[0],"data_offsets":[0,0]}';

function safetensors(header: string): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(header);
  const bytes = new Uint8Array(8 + text.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}

/** A file of zeros that claims to be of that size, but for some bytes; it says how much of it is read. */
function sparse(size: number, parts: ReadonlyMap<number, Uint8Array>): ByteSource & { readonly most: () => number } {
  let most = 0;
  return {
    name: 'sparse',
    size,
    async read(offset, length) {
      most = Math.max(most, length);
      const bytes = new Uint8Array(length);
      for (const [at, part] of parts)
        for (const [i, byte] of part.entries())
          if (at + i >= offset && at + i < offset + length) bytes[at + i - offset] = byte;
      return bytes;
    },
    close: async () => undefined,
    most: () => most,
  };
}

const refused: Readonly<Record<string, [() => Promise<unknown>, RegExp]>> = {
  'a header of more bytes': [
    () => openCheckpoint(sparse(2 ** 40, new Map([[0, Uint8Array.of(0, 0, 0, 3, 0, 0, 0, 0, 123)]]))),
    /at most 33554432 bytes of a safetensors header, got 50331648/,
  ],
  'more tensors': [
    () => open(`{${Array.from({ length: LIMITS.tensors.most + 1 }, (_, i) => `"${i}":${empty}`).join(',')}}`),
    /at most 131072 tensors of a file, got 131073/,
  ],
  'a shape of more dimensions': [
    () => open(`{"a":{"dtype":"F32","shape":[${'0,'.repeat(10 ** 6)}0],"data_offsets":[0,0]}}`),
    /at most 64 dimensions of a tensor, got 65/,
  ],
  'more metadata': [
    () => open(`{"__metadata__":{${Array.from({ length: 20_000 }, (_, i) => `"${i}":""`).join(',')}}}`),
    /at most 16384 entries of metadata, got 16385/,
  ],
  'an index of more bytes': [
    () => openShards(sparse(2 ** 40, new Map()), async () => assert.fail('nothing to open')),
    /at most 33554432 bytes of an index, got 1099511627776/,
  ],
};

const open = (header: string) => openCheckpoint(bytesSource('file', safetensors(header)));

describe('a file that asks for too much', () => {
  for (const [what, [run, message]] of Object.entries(refused)) {
    it(`is refused with ${what}, by the name of the limit`, async () => {
      await assert.rejects(run(), (error) => {
        assert.ok(error instanceof FormatError, String(error));
        assert.match(error.message, message);
        return true;
      });
    });
  }

  it('is refused with a directory or a pickle of a hundred gigabytes, which are not read', async () => {
    const size = 2 ** 40;
    const end = new DataView(new ArrayBuffer(98));
    end.setUint32(0, 0x06064b50, true); // zip64 end: entries, bytes, offset
    end.setBigUint64(32, 3n, true);
    end.setBigUint64(40, 10n ** 11n, true);
    end.setUint32(56, 0x07064b50, true); // locator
    end.setBigUint64(64, BigInt(size - 98), true);
    end.setUint32(76, 0x06054b50, true);
    const source = sparse(
      size,
      new Map([
        [0, Uint8Array.of(80, 75)],
        [size - 98, new Uint8Array(end.buffer)],
      ]),
    );

    await assert.rejects(openCheckpoint(source), /at most 16777216 bytes of a zip directory, got 100000000000/);

    assert.ok(source.most() < 2 ** 17);
  });

  it('is refused with a view whose elements lie far apart', async () => {
    const elements = 2 ** 25;
    const view = write.tensor(write.storage('0', elements), { shape: [2], strides: [elements - 1] });
    const file = writeTorch(write.pickle(write.dict(write.text('a'), view)), { 0: new Uint8Array(4 * elements) });

    await assert.rejects(
      openCheckpoint(bytesSource('file', file)),
      /at most 67108864 bytes between the elements of a view/,
    );
  });
});

describe('JSON from outside', () => {
  it('is refused nested too deep or of too many values, and read with brackets in its strings', () => {
    const deep = (levels: number) => `${'['.repeat(levels)}${']'.repeat(levels)}`;
    const strings = ['[[{{,,"', '\\', '"\\"', '\\\\"[', ''].map((text) => text.repeat(100));

    assert.throws(() => parseJson('file', deep(20_000)), /file: expected at most 64 levels of JSON, got 65/);
    assert.throws(() => parseJson('file', `[${'0,'.repeat(3e6)}0]`), /at most 2000000 values of JSON/);
    assert.deepEqual(parseJson('file', JSON.stringify([strings, JSON.parse(deep(60))])), [
      strings,
      JSON.parse(deep(60)),
    ]);
    for (const text of ['', '{', '"', '"\\', ']', '[1,]', '\0', '{"a":1}}']) {
      assert.throws(() => parseJson('file', text), FormatError);
    }
  });
});
