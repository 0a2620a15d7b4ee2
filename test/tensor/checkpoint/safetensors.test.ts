import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import fc from 'fast-check';
import { openCheckpoint } from '../../../src/tensor/checkpoint/checkpoint.ts';
import { STORED_BYTES, type StoredDtype } from '../../../src/tensor/checkpoint/stored-tensor.ts';
import { FormatError } from '../../../src/tensor/errors.ts';
import { bytesSource } from '../../../src/tensor/source/bytes.ts';
import { damage, outcomeOf } from './damage.ts';
import { concat } from './torch/torch-writer.ts';

const GOLDEN = 'test/golden/torch';

const NAMES: Readonly<Record<StoredDtype, string>> = {
  f64: 'F64',
  f32: 'F32',
  f16: 'F16',
  bf16: 'BF16',
  f8e4m3: 'F8_E4M3',
  f8e5m2: 'F8_E5M2',
  i64: 'I64',
  i32: 'I32',
  i16: 'I16',
  i8: 'I8',
  u64: 'U64',
  u32: 'U32',
  u16: 'U16',
  u8: 'U8',
  bool: 'BOOL',
};

interface Written {
  readonly name: string;
  readonly dtype: StoredDtype;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

const tensor: fc.Arbitrary<Written> = fc
  .record({
    name: fc.oneof(fc.string({ unit: 'grapheme' }), fc.constantFrom('__proto__', 'constructor', '"\\', 'layers.0.w')),
    dtype: fc.constantFrom(...(Object.keys(NAMES) as StoredDtype[])),
    shape: fc.array(fc.nat({ max: 4 }), { maxLength: 4 }),
    seed: fc.nat({ max: 255 }),
  })
  .map(({ name, dtype, shape, seed }) => {
    const length = shape.reduce((product, size) => product * size, 1) * STORED_BYTES[dtype];
    return { name, dtype, shape, data: Uint8Array.from({ length }, (_, i) => (seed + 31 * i) % 256) };
  });
const tensors = fc.uniqueArray(tensor, { selector: ({ name }) => name, maxLength: 6 });
const metadata = fc.dictionary(fc.string(), fc.string(), { maxKeys: 3, noNullPrototype: true });

describe('safetensors', () => {
  it('reads back what was written: names, dtypes, shapes, metadata and every byte', async () => {
    const property = fc.asyncProperty(tensors, metadata, fc.nat({ max: 9 }), async (written, about, padding) => {
      const checkpoint = await open(save(written, about, padding));

      assert.equal(checkpoint.format, 'safetensors');
      assert.deepEqual(
        [...checkpoint.tensors.keys()],
        written.map(({ name }) => name),
      );
      assert.deepEqual(Object.entries(checkpoint.metadata), Object.entries(about));
      for (const { name, dtype, shape, data } of written) {
        const stored = checkpoint.tensors.get(name)!; // the keys were compared
        assert.deepEqual([stored.name, stored.dtype, stored.shape, stored.bytes], [name, dtype, shape, data.length]);
        assert.deepEqual(Buffer.from(await stored.read()), Buffer.from(data));
        const half = data.length >> 1;
        assert.deepEqual(Buffer.from(await stored.read(half, data.length - half)), Buffer.from(data.subarray(half)));
        await assert.rejects(stored.read(1, data.length), FormatError);
      }
    });
    await fc.assert(property, { numRuns: 1000 });
  });

  it('reads a file of the reference writer', async () => {
    const expected = JSON.parse(await readFile(`${GOLDEN}/expected.json`, 'utf8'))['dtypes.safetensors'].tensors;

    const checkpoint = await open(await readFile(`${GOLDEN}/dtypes.safetensors`));

    assert.deepEqual(checkpoint.metadata, { format: 'pt', 'made by': 'make.py' });
    assert.deepEqual([...checkpoint.tensors.keys()].sort(), Object.keys(expected).sort());
    for (const [name, { dtype, shape, bytes: _, read }] of checkpoint.tensors) {
      assert.deepEqual({ dtype, shape, hex: Buffer.from(await read()).toString('hex') }, expected[name]);
    }
  });

  it('meets any damage with a FormatError or with tensors that lie within the file', async () => {
    const bases = [
      new Uint8Array(await readFile(`${GOLDEN}/dtypes.safetensors`)),
      save([{ name: 'a', dtype: 'f32', shape: [2, 3], data: new Uint8Array(24) }], { note: 'b' }),
    ];
    const outcomes = { refused: 0, sound: 0 };

    const property = fc.asyncProperty(fc.constantFrom(...bases), damage, async (base, edit) => {
      outcomes[await outcomeOf(edit(base))]++;
    });
    await fc.assert(property, { numRuns: 3000 });

    assert(outcomes.sound > 10 && outcomes.refused > 1000, JSON.stringify(outcomes));
  });

  const entry = (shape: string, offsets: string, dtype = 'F32') =>
    `{"dtype":"${dtype}","shape":${shape},"data_offsets":${offsets}}`;
  const refusals: Readonly<Record<string, [header: string, dataBytes: number, message: RegExp]>> = {
    'a hole': [`{"a":${entry('[1]', '[4,8]')}}`, 8, /a: expected data from byte 0 of 8, got \[4, 8\)/],
    'an overlap': [`{"a":${entry('[2]', '[0,8]')},"b":${entry('[1]', '[4,8]')}}`, 8, /b: expected data from byte 8/],
    'data past the end': [`{"a":${entry('[2]', '[0,8]')}}`, 4, /a: expected data from byte 0 of 4, got \[0, 8\)/],
    'bytes left over': [`{"a":${entry('[1]', '[0,4]')}}`, 5, /expected 4 bytes after the header, got 5/],
    'offsets in the wrong order': [`{"a":${entry('[0]', '[0,0]')},"b":${entry('[1]', '[4,0]')}}`, 4, /got \[4, 0\)/],
    'a size that does not fit the shape': [
      `{"a":${entry('[3]', '[0,8]')}}`,
      8,
      /a: expected the bytes of F32 \[3\], got 8/,
    ],
    'a shape that overflows': [`{"a":${entry('[4294967296,4294967296]', '[0,0]')}}`, 0, /got 0 bytes/],
    'a number above 2^53': [`{"a":${entry('[9007199254740993]', '[0,0]')}}`, 0, /expected a number below 2\^53/],
    'a negative number': [`{"a":${entry('[-1]', '[0,4]')}}`, 4, /expected a whole number, got "-"/],
    'a fraction': [`{"a":${entry('[1.5]', '[0,6]')}}`, 6, /expected \] or a comma, got "\."/],
    'a name twice': [`{"a":${entry('[1]', '[0,4]')},"a":${entry('[1]', '[0,4]')}}`, 4, /each name once, got "a" again/],
    'a name twice, once escaped': [`{"a":${entry('[0]', '[0,0]')},"\\u0061":${entry('[0]', '[0,0]')}}`, 0, /"a" again/],
    'metadata twice': ['{"__metadata__":{},"__metadata__":{}}', 0, /"__metadata__" again/],
    'metadata that is not text': ['{"__metadata__":{"a":1}}', 0, /expected a string, got "1"/],
    'a field twice': ['{"a":{"dtype":"F32","dtype":"F32"}}', 0, /once each, got "dtype" in a/],
    'a field nobody knows': ['{"a":{"type":"F32"}}', 0, /got "type" in a/],
    'a field missing': ['{"a":{"dtype":"F32","shape":[]}}', 0, /got a without them/],
    'a dtype nobody knows': [`{"a":${entry('[2]', '[0,1]', 'F4')}}`, 1, /a: expected one of F64, .*, got F4/],
    'text after the object': ['{}x', 0, /expected the end of the header, got "x"/],
    'an unfinished object': ['{"a":', 0, /expected \{, got the end of the header/],
    'an unfinished string': ['{"a', 0, /unfinished/],
    'a bad escape': ['{"\\x":{}}', 0, /bad escape/],
    'a comma too many': ['{"__metadata__":{},}', 0, /expected a string, got "}"/],
    'a list for an object': ['{"a":[]}', 0, /expected \{, got "\["/],
  };
  for (const [what, [header, dataBytes, message]] of Object.entries(refusals)) {
    it(`refuses ${what}`, async () => {
      const bytes = concat([withLength(new TextEncoder().encode(header)), new Uint8Array(dataBytes)]);

      await assert.rejects(open(bytes), (error) => error instanceof FormatError && message.test(error.message));
    });
  }

  it('refuses a header that is said to be longer than the file, or than 100 MB, before it is read', async () => {
    for (const length of [3n, 100n, 100_000_001n, 1n << 40n, (1n << 64n) - 1n]) {
      const bytes = withLength(new TextEncoder().encode('{}'));
      new DataView(bytes.buffer).setBigUint64(0, length, true);

      await assert.rejects(
        open(bytes),
        (error) => error instanceof FormatError && /expected at most 2 bytes/.test(error.message),
      );
    }
  });

  it('refuses a header that is not UTF-8', async () => {
    await assert.rejects(open(withLength(Uint8Array.of(0x7b, 0x22, 0xff, 0x22))), /expected UTF-8/);
  });

  it('reads a header of a hundred thousand brackets or one name of a million characters without trouble', async () => {
    await assert.rejects(open(withLength(new TextEncoder().encode(`{"a":${'['.repeat(100_000)}`))), FormatError);
    const name = 'n'.repeat(1_000_000);
    const checkpoint = await open(save([{ name, dtype: 'u8', shape: [1], data: Uint8Array.of(7) }]));
    assert(checkpoint.tensors.has(name));
  });
});

function open(bytes: Uint8Array) {
  return openCheckpoint(bytesSource('model.safetensors', bytes));
}

function save(written: readonly Written[], about?: Readonly<Record<string, string>>, padding = 0) {
  const entries: string[] = about ? [`"__metadata__":${JSON.stringify(about)}`] : [];
  let offset = 0;
  for (const { name, dtype, shape, data } of written) {
    const entry = { dtype: NAMES[dtype], shape, data_offsets: [offset, offset + data.length] };
    entries.push(`${JSON.stringify(name)}:${JSON.stringify(entry)}`);
    offset += data.length;
  }
  const header = new TextEncoder().encode(`{${entries.join(',')}}${' '.repeat(padding)}`);
  return concat([withLength(header), ...written.map(({ data }) => data)]);
}

function withLength(header: Uint8Array) {
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(header.length), true);
  return concat([length, header]);
}
