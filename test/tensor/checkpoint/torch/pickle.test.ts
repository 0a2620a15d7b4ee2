import assert from 'node:assert/strict';
import fc from 'fast-check';
import { unpickle } from '../../../../src/tensor/checkpoint/torch/pickle.ts';
import { isKind, type PickleValue } from '../../../../src/tensor/checkpoint/torch/pickle-values.ts';
import { FormatError } from '../../../../src/tensor/errors.ts';
import { write } from './torch-writer.ts';

const ACCEPTED = 'NKMJGXBC}])(tues.RbQhjqrca\x80\x81\x85\x86\x87\x88\x89\x8a\x8c\x93\x94\x95';

describe('unpickle', () => {
  it('reads each kind of plain value', () => {
    const number = [0x47, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0];
    const value = read(
      write.tuple([0x4e], [0x88], [0x89], [0x4b, 200], [0x4d, 1, 2], write.int(-7), number, write.text('ü')),
    );

    assert.deepEqual(items(value), [null, true, false, 200, 513, -7, 1.5, 'ü']);
  });

  it('reads long integers as numbers where they fit, else as bigints', () => {
    const integer = (value: bigint, length: number) => [
      0x8a,
      length,
      ...Array.from({ length }, (_, i) => Number(BigInt.asUintN(8, value >> BigInt(8 * i)))),
    ];
    const property = fc.property(fc.bigInt({ min: -(2n ** 71n), max: 2n ** 71n - 1n }), (value) => {
      const got = read(integer(value, 9));
      assert.equal(BigInt(got as bigint), value);
      assert.equal(typeof got, value >= -(2n ** 53n) + 1n && value <= 2n ** 53n - 1n ? 'number' : 'bigint');
    });
    fc.assert(property, { examples: [[2n ** 53n], [2n ** 53n - 1n], [-(2n ** 53n)], [0n], [-1n]] });
    assert.equal(read([0x8a, 0]), 0);
  });

  it('keeps shared values shared, and lists that contain themselves, without walking into them', () => {
    const cyclic = read([0x5d, 0x71, 0, 0x68, 0, 0x61]);

    assert(isKind(cyclic, 'list'));
    assert.equal(cyclic.items[0], cyclic);
  });

  it('refuses every opcode that a state dict does not need, with its code and position', () => {
    for (let opcode = 0; opcode < 256; opcode++) {
      const isAccepted = ACCEPTED.includes(String.fromCharCode(opcode)) && opcode !== 0x80;
      if (isAccepted) continue;
      const code = `0x${opcode.toString(16).padStart(2, '0')}`;
      assertRefused([0x4e, opcode, 0, 0, 0, 0], new RegExp(`got opcode ([A-Z0-9_]+ )?${code} at byte 3$`));
    }
  });

  it('refuses every global but those listed, by its name', () => {
    const globals = [
      'os.system',
      'posix.system',
      'builtins.eval',
      'builtins.getattr',
      '__builtin__.exec',
      'torch.load',
      'torch._utils._rebuild_tensor_v3',
      'torch.nn.Linear',
      'collections.Counter',
      'argparse.ArgumentParser',
      'codecs.encode',
    ];
    for (const full of globals) {
      const dot = full.lastIndexOf('.');
      const [module, name] = [full.slice(0, dot), full.slice(dot + 1)];
      const message = new RegExp(
        `expected only what a state dict needs, got global ${full.replaceAll('.', '\\.')} at byte`,
      );
      assertRefused(write.call(write.global(module, name), write.text('true')), message);
      assertRefused([...write.text(module), ...write.text(name), 0x93], message);
    }
  });

  it('refuses a call of anything but what rebuilds tensors', () => {
    const callables = [
      write.global('argparse', 'Namespace'),
      write.global('torch', 'FloatStorage'),
      write.global('torch', 'bfloat16'),
      write.text('eval'),
      write.dict(),
      [0x4e],
    ];
    for (const callable of callables)
      assertRefused(write.call(callable), /expected a call that rebuilds a tensor, got a call of/);
  });

  const size = write.tuple(write.int(1));
  const storage = write.storage('0', 4);
  const rebuild = write.global('torch._utils', '_rebuild_tensor_v2');
  const refusals: Readonly<Record<string, [readonly number[], RegExp]>> = {
    'an object of another class': [
      [...write.global('collections', 'OrderedDict'), 0x29, 0x81],
      /object of argparse\.Namespace/,
    ],
    'a namespace with arguments': [[...write.global('argparse', 'Namespace'), ...size, 0x81], /object of argparse/],
    'attributes of a plain dict': [[...write.dict(), ...write.dict(), 0x62], /got a dict for a dict/],
    'attributes that are not a dict': [
      [...write.global('argparse', 'Namespace'), 0x29, 0x81, ...size, 0x62],
      /a tuple for a instance/,
    ],
    'an OrderedDict with arguments': [
      write.call(write.global('collections', 'OrderedDict'), size),
      /without arguments, got 1/,
    ],
    'a call without a tuple': [[...rebuild, ...write.list(), 0x52], /expected a tuple of arguments, got a list/],
    'a persistent id that is no storage': [[...write.text('x'), 0x51], /expected \('storage', class/],
    'a storage of no class': [
      [...write.tuple(write.text('storage'), write.text('f'), write.text('0'), write.text('cpu'), write.int(1)), 0x51],
      /one of torch\.DoubleStorage/,
    ],
    'a storage of a negative size': [write.storage('0', -1), /expected a number of elements, got -1/],
    'a tensor without a storage': [
      write.call(rebuild, write.text('0'), write.int(0), size, size),
      /made from a storage, got "0"/,
    ],
    'a negative offset': [write.tensor(storage, { offset: -1, shape: [1], strides: [1] }), /storage offset, got -1/],
    'a negative size': [write.tensor(storage, { shape: [-1], strides: [1] }), /whole numbers, got a tuple/],
    'too few strides': [
      write.tensor(storage, { shape: [1, 1], strides: [1] }),
      /expected 2 strides, as many as sizes, got 1/,
    ],
    'a tensor of 65 dimensions': [
      write.tensor(storage, { shape: Array(65).fill(1), strides: Array(65).fill(1) }),
      /at most 64 whole/,
    ],
    'a parameter of no tensor': [
      write.call(write.global('torch._utils', '_rebuild_parameter'), write.int(1)),
      /made from a tensor, got 1/,
    ],
    'a key that cannot be hashed': [write.dict(write.list(), write.int(1)), /key that Python can hash, got a list/],
    'a key twice': [write.dict(write.text('a'), [0x4e], write.text('a'), [0x4e]), /each key once, got "a" again/],
    'a key without a value': [write.dict(write.text('a')), /pairs of key and value/],
    'items for a list': [[...write.list(), 0x4e, 0x4e, 0x73], /a dict to set items of, got a list/],
    'an append to a tuple': [[0x29, 0x4e, 0x61], /a list to append to, got a tuple/],
    'an empty memo': [[0x68, 7], /expected a value in the memo, got none at 7/],
    'a value under a mark': [[0x4e, 0x28, 0x85], /expected 1 on the stack above the last mark, got fewer/],
    'a mark that is not there': [[0x4e, 0x74], /expected a mark on the stack, got none/],
    'a mark left over': [[0x28, 0x4e], /one value at the end/],
    'two values': [[0x4e, 0x4e], /one value at the end/],
    'no value': [[], /expected 1 on the stack/],
    'text after the end': [[0x4e, 0x2e, 0x4e], /expected nothing after STOP, got 2 bytes/],
    'a string that is not UTF-8': [[0x58, 1, 0, 0, 0, 0xff], /expected a string in UTF-8/],
    'a string longer than the file': [[0x58, 255, 255, 255, 255], /expected 4294967295 bytes, got 1 before the end/],
    'a frame longer than the file': [
      [0x95, ...Array(8).fill(255)],
      /expected a frame of at most 1 bytes, got 18446744073709551615/,
    ],
    'an integer longer than the file': [[0x8a, 255, 1], /expected 255 bytes, got 2/],
    'a global without an end': [[0x63, ...Array(300).fill(97)], /a name of at most 256 bytes/],
  };
  for (const [what, [bytes, message]] of Object.entries(refusals)) {
    it(`refuses ${what}`, () => assertRefused(bytes, message));
  }

  it('refuses protocols other than 2 to 5, and an empty pickle', () => {
    for (const bytes of [[], [0x80], [0x80, 1, 0x4e, 0x2e], [0x80, 6, 0x4e, 0x2e], [0x7d, 0x2e]]) {
      assert.throws(() => unpickle('data.pkl', Uint8Array.from(bytes)), FormatError);
    }
  });

  it('is not moved by bombs: deep values, doubling tuples, a memo index of four billion, a million marks or lists', () => {
    const many = 2 ** 18;
    const doubling = Array(many).fill([0x71, 0, 0x68, 0, 0x86]).flat();
    const lists = [0x28, ...Array(60_000).fill(0x5d), 0x65];

    assert.equal(isKind(read([0x29, ...Array(many).fill(0x85)]), 'tuple'), true);
    assertRefused([0x29, ...doubling], /at most 524288 objects/);
    assert.equal(isKind(read([0x29, ...doubling.slice(0, 5 * 2 ** 15)]), 'tuple'), true);
    assert.equal(isKind(read([0x7d, 0x72, 255, 255, 255, 255]), 'dict'), true);
    assertRefused([0x5d, ...Array(10).fill(lists).flat()], /at most 524288 objects, got more at byte/);
    for (const opcode of [0x5d, 0x28, 0x7d, 0x4e])
      assertRefused(Array(many).fill(opcode), /at most 65536 values on the stack/);
  });

  it('refuses a pickle of more than 4 MiB unread', () => {
    assert.throws(() => unpickle('data.pkl', new Uint8Array(2 ** 22 + 1)), /expected at most 4194304 bytes/);
  });

  it('answers any row of opcodes that it knows with a value or a FormatError', () => {
    const argument = fc.uint8Array({ maxLength: 4 }).map((bytes) => [...bytes]);
    const opcode = fc.constantFrom(...ACCEPTED).map((letter) => [letter.charCodeAt(0)]);
    const piece = fc.oneof(
      { weight: 6, arbitrary: opcode },
      { weight: 1, arbitrary: argument },
      {
        weight: 3,
        arbitrary: fc.constantFrom(write.text('a'), write.int(1), write.storage('0', 4), write.dict(), size, rebuild),
      },
    );
    let values = 0;

    const property = fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
      try {
        read(pieces.flat());
        values++;
      } catch (error) {
        if (!(error instanceof FormatError)) throw error;
        assert.match(error.message, /^data\.pkl: expected .*, got .* at byte \d+$/s);
      }
    });
    fc.assert(property, { numRuns: 5000 });

    assert(values > 10, `${values} of 5000 were values`);
  });
});

function read(value: readonly number[]): PickleValue {
  return unpickle('data.pkl', Uint8Array.from(write.pickle(value)));
}

function items(value: PickleValue): readonly PickleValue[] {
  assert(isKind(value, 'tuple'));
  return value.items;
}

function assertRefused(value: readonly number[], message: RegExp): void {
  assert.throws(
    () => read(value),
    (error) => {
      assert(error instanceof FormatError, String(error));
      assert.match(error.message, message);
      return true;
    },
  );
}
