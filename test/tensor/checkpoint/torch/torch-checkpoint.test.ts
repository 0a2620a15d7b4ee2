import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { type Checkpoint, openCheckpoint } from '../../../../src/tensor/checkpoint/checkpoint.ts';
import { DisposedError, FormatError } from '../../../../src/tensor/errors.ts';
import { bytesSource } from '../../../../src/tensor/source/bytes.ts';
import { fileSource } from '../../../../src/tensor/source/file-node.ts';
import { damage, outcomeOf } from '../damage.ts';
import { write, writeTorch, writeZip } from './torch-writer.ts';

const GOLDEN = 'test/golden/torch';

interface Expected {
  readonly tensors?: Readonly<Record<string, { dtype: string; shape: number[]; hex: string }>>;
  readonly refused?: string;
}

describe('a checkpoint of torch.save', () => {
  const text = readFile(join(GOLDEN, 'expected.json'), 'utf8');
  const files = `bare f16 bf16 model module state-dict protocol-3 protocol-4 protocol-5 dtypes views parameters names numpy numpy-4`;
  for (const file of files.split(' ')) {
    it(`${file}.pt is read with the dtypes, shapes and bytes that torch has`, async () => {
      const expected = new Map(Object.entries((JSON.parse(await text)[`${file}.pt`] as Expected).tensors ?? {}));

      const checkpoint = await openCheckpoint(await fileSource(join(GOLDEN, `${file}.pt`)));

      assert.equal(checkpoint.format, 'torch');
      assert.deepEqual([...checkpoint.tensors.keys()].sort(), [...expected.keys()].sort());
      for (const [name, { dtype, shape, read }] of checkpoint.tensors) {
        assert.deepEqual({ dtype, shape, hex: Buffer.from(await read()).toString('hex') }, expected.get(name), name);
      }
      await checkpoint.close();
      await assert.rejects([...checkpoint.tensors.values()].find(({ bytes }) => bytes > 0)!.read(), DisposedError);
    });
  }
  for (const file of ['expanded', 'legacy', 'system', 'eval', 'eval-4', 'complex', 'list', 'none', 'set']) {
    it(`${file}.pt is refused, and the error says why`, async () => {
      const reason = (JSON.parse(await text)[`${file}.pt`] as Expected).refused ?? 'nothing';

      const opening = openCheckpoint(await fileSource(join(GOLDEN, `${file}.pt`)));

      await assert.rejects(opening, isFormatError(new RegExp(reason.replaceAll('.', '\\.'))));
    });
  }

  it('changes no prototype, whatever its keys are', async () => {
    const checkpoint = await open(await golden('names.pt'));

    assert(checkpoint.tensors.has('__proto__'));
    assert.equal(({} as Record<string, unknown>).polluted, undefined);
    assert.deepEqual(Object.keys(Object.prototype), []);
  });

  it('meets any damage with a FormatError or with tensors that lie within the file', async () => {
    const bases = await Promise.all(
      ['model', 'views', 'dtypes', 'protocol-5', 'parameters'].map((name) => golden(`${name}.pt`)),
    );
    const outcomes = { refused: 0, sound: 0 };

    const property = fc.asyncProperty(fc.constantFrom(...bases), damage, async (base, edit) => {
      outcomes[await outcomeOf(edit(base))]++;
    });
    await fc.assert(property, { numRuns: 3000 });

    assert(outcomes.sound > 10 && outcomes.refused > 1000, JSON.stringify(outcomes));
  });

  it('meets any numbers in a tensor, and damage to its pickle, likewise', async () => {
    const small = fc.nat({ max: 6 });
    const number = fc.oneof(
      { weight: 9, arbitrary: small },
      { weight: 1, arbitrary: fc.constantFrom(-1, 24, 25, 2 ** 31 - 1, 2 ** 31, 2 ** 52, Number.MAX_SAFE_INTEGER) },
    );
    const axes = fc.array(fc.tuple(number, number), { maxLength: 4 });
    const lies = fc.record({
      axes,
      offset: number,
      elements: fc.oneof(fc.constant(24), number),
      bytes: fc.constantFrom(96, 24),
    });
    const outcomes = { refused: 0, sound: 0 };

    const property = fc.asyncProperty(lies, fc.option(damage, { freq: 2 }), async (lie, edit) => {
      const view = {
        offset: lie.offset,
        shape: lie.axes.map(([size]) => size),
        strides: lie.axes.map(([, stride]) => stride),
      };
      const tensor = write.tensor(write.storage('0', lie.elements), view);
      const pickle = Uint8Array.from(
        write.pickle(write.dict(write.text('model'), write.dict(write.text('w'), tensor))),
      );
      const damaged = edit ? edit(pickle) : pickle;
      outcomes[await outcomeOf(writeTorch([...damaged], { 0: new Uint8Array(lie.bytes) }))]++;
    });
    await fc.assert(property, { numRuns: 4000 });

    assert(outcomes.sound > 100 && outcomes.refused > 1000, JSON.stringify(outcomes));
  });

  it('gathers any view as the slow way does, whole and by any range', async () => {
    const axis = fc.tuple(fc.integer({ min: 0, max: 4 }), fc.nat({ max: 12 }));
    const type = fc.constantFrom(
      ['FloatStorage', 4] as const,
      ['HalfStorage', 2] as const,
      ['ByteStorage', 1] as const,
    );
    const view = fc.tuple(fc.array(axis, { maxLength: 4 }), fc.nat({ max: 20 }), type, fc.nat(), fc.nat());
    let gathered = 0;

    const property = fc.asyncProperty(view, async ([axes, offset, [storageType, width], from, length]) => {
      const [shape, strides] = [axes.map(([size]) => size), axes.map(([, stride]) => stride)];
      const data = Uint8Array.from({ length: 60 * width }, (_, i) => i % 256);
      const places = elementsOf(shape, strides).map((place) => place + offset);
      const tensor = write.tensor(write.storage('0', 60, storageType), { offset, shape, strides });
      const opening = open(writeTorch(write.pickle(write.dict(write.text('w'), tensor)), { 0: data }));
      if (places.length > 60 || places.some((place) => place >= 60)) {
        await assert.rejects(opening, isFormatError(/model\.pt: w: expected/));
        return;
      }
      gathered++;
      const expected = places.flatMap((place) => [...data.subarray(place * width, (place + 1) * width)]);
      const stored = (await opening).tensors.get('w')!; // the only one
      assert.deepEqual([...(await stored.read())], expected);
      const start = from % (expected.length + 1);
      const count = length % (expected.length - start + 1);
      assert.deepEqual([...(await stored.read(start, count))], expected.slice(start, start + count));
    });
    await fc.assert(property, { numRuns: 1500 });

    assert(gathered > 300, `${gathered} views were within their storage`);
  });
});

describe('the archive around it', () => {
  const tensor = write.tensor(write.storage('0', 4), { shape: [2, 2], strides: [2, 1] });
  const pickle = Uint8Array.from(write.pickle(write.dict(write.text('w'), tensor)));
  const data = Uint8Array.from({ length: 16 }, (_, i) => i);
  const sound = [
    { name: 'archive/data.pkl', data: pickle },
    { name: 'archive/data/0', data },
  ];

  it('may be zip64, and may end with a comment', async () => {
    for (const isZip64 of [false, true]) {
      for (const comment of ['', 'a comment']) {
        const checkpoint = await open(writeZip(sound, { isZip64, comment }));
        assert.deepEqual(await checkpoint.tensors.get('w')!.read(), data);
      }
    }
  });

  const refusals: Readonly<Record<string, [() => Uint8Array, RegExp]>> = {
    'a compressed entry': [
      () => writeZip([{ ...sound[0]!, method: 8 }]),
      /data\.pkl: expected a stored entry, got compression method 8; write/,
    ],
    'an encrypted entry': [() => writeZip([{ ...sound[0]!, flags: 1 }]), /got an encrypted one/],
    'an entry twice': [() => writeZip([...sound, sound[1]!]), /expected each name once, got archive\/data\/0 again/],
    'two pickles': [
      () => writeZip([...sound, { name: 'b/data.pkl', data: pickle }]),
      /expected one data\.pkl in the zip archive, got 2/,
    ],
    'no pickle': [
      () => writeZip([sound[1]!]),
      /expected one data\.pkl in the zip archive, got 0; is it from torch\.save/,
    ],
    'no entry': [() => writeZip([]), /got 0/],
    'a program': [
      () => writeZip([...sound, { name: 'archive/constants.pkl', data }]),
      /got a TorchScript program; save its state_dict/,
    ],
    'big-endian numbers': [
      () => writeZip([...sound, { name: 'archive/byteorder', data: new TextEncoder().encode('big') }]),
      /byteorder: expected little, got "big"/,
    ],
    'a missing storage': [() => writeZip([sound[0]!]), /w: expected 16 bytes in data\/0, got no such record/],
    'a short storage': [
      () => writeZip([sound[0]!, { name: 'archive/data/0', data: data.subarray(1) }]),
      /w: expected 16 bytes in data\/0, got 15 bytes/,
    ],
  };
  for (const [what, [make, message]] of Object.entries(refusals)) {
    it(`is refused with ${what}`, async () => {
      await assert.rejects(open(make()), isFormatError(message));
    });
  }

  it('is refused at every length short of the whole', async () => {
    const whole = writeZip(sound);
    for (let length = 0; length < whole.length; length++)
      await assert.rejects(open(whole.subarray(0, length)), isFormatError(/./));
  });

  it('is refused when an entry reaches into the next one', async () => {
    const bytes = writeZip(sound);
    const directory = new DataView(bytes.buffer, indexOfBytes(bytes, [0x50, 0x4b, 1, 2]));
    for (const field of [20, 24]) directory.setUint32(field, directory.getUint32(field, true) + 100, true);

    await assert.rejects(open(bytes), isFormatError(/data\.pkl: expected an end by byte \d+, got \d+/));
  });
});

describe('openCheckpoint', () => {
  const tar = new Uint8Array(1024);
  tar.set(new TextEncoder().encode('ustar'), 257);
  const strangers: Readonly<Record<string, [Uint8Array, RegExp]>> = {
    'an empty file': [new Uint8Array(), /got an empty file/],
    'a tar archive': [tar, /got a tar archive; unpack it/],
    'a compressed file': [Uint8Array.of(0x1f, 0x8b, 8), /got gzip; unpack it first/],
    GGUF: [new TextEncoder().encode('GGUF\x03\0\0\0'), /got GGUF/],
    'a Git LFS pointer': [new TextEncoder().encode('version https://git-lfs.github.com/spec/v1\n'), /git lfs pull/],
    'a web page': [new TextEncoder().encode('<!doctype html>'), /got a web page/],
    'other text': [new TextEncoder().encode('hello, world'), /got an unknown format/],
  };
  for (const [what, [bytes, message]] of Object.entries(strangers)) {
    it(`refuses ${what} by its first bytes, and closes the source`, async () => {
      let isClosed = false;
      const source = bytesSource('model.pt', bytes);
      const close = async () => {
        isClosed = true;
      };

      await assert.rejects(openCheckpoint({ ...source, close }), isFormatError(message));

      assert(isClosed);
    });
  }
});

function open(bytes: Uint8Array): Promise<Checkpoint> {
  return openCheckpoint(bytesSource('model.pt', bytes));
}

async function golden(name: string): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await readFile(join(GOLDEN, name)));
}

/** Places of a view's elements in its storage, row major. */
function elementsOf(shape: readonly number[], strides: readonly number[]): number[] {
  return shape.reduce<number[]>(
    (places, size, axis) =>
      places.flatMap((place) => Array.from({ length: size }, (_, i) => place + i * strides[axis]!)),
    [0],
  );
}

function indexOfBytes(bytes: Uint8Array, wanted: readonly number[]): number {
  return bytes.findIndex((_, at) => wanted.every((byte, i) => bytes[at + i] === byte));
}

function isFormatError(message: RegExp) {
  return (error: unknown) => {
    assert(error instanceof FormatError, String(error));
    assert.match(error.message, message);
    return true;
  };
}
