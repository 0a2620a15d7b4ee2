/** Damaged and dishonest files, for every reader. */

import { readFileSync } from 'node:fs';
import { makeTokenizer } from '../../src/models/text/tokenizer/make-tokenizer.ts';
import { openCheckpoint } from '../../src/tensor/checkpoint/checkpoint.ts';
import { openShards } from '../../src/tensor/checkpoint/sharded.ts';
import { bytesSource } from '../../src/tensor/source/bytes.ts';
import { readHub } from '../../src/tensor/source/hub.ts';
import type { Attack, Chance } from './attack.ts';

type Bytes = Uint8Array<ArrayBuffer>;

const golden = (path: string): Bytes => new Uint8Array(readFileSync(`test/golden/${path}`));
const text = (value: string): Bytes => new TextEncoder().encode(value);

const COMMIT = '0'.repeat(40);
const LISTING = { sha: COMMIT, siblings: [{ rfilename: 'a.pt', size: 3, lfs: { sha256: '0'.repeat(64), size: 3 } }] };
const INDEX = { weight_map: { 'a.weight': 'one.safetensors', 'b.weight': 'one.safetensors' } };
const PROMPTS = ['a', 'a'.repeat(60), ' '.repeat(60), 'x1 y2! \u00e9\ud83d\ude00'];

interface Reader {
  readonly base: Bytes;
  read(bytes: Bytes): Promise<unknown>;
}

const checkpoint = async (bytes: Bytes) => {
  const opened = await openCheckpoint(bytesSource('file', bytes));
  for (const tensor of [...opened.tensors.values()].slice(0, 50)) await tensor.read(0, Math.min(tensor.bytes, 4096));
  await opened.close();
};
const tokenizer = async (bytes: Bytes) => {
  const made = makeTokenizer('file', new TextDecoder().decode(bytes));
  for (const prompt of PROMPTS) made.encode(prompt);
};
const index = async (bytes: Bytes) => {
  const shard = golden('llamagen-c2i/io.safetensors');
  const opened = await openShards(bytesSource('index', bytes), async (file) => bytesSource(file, shard));
  await opened.close();
};
const listing = async (bytes: Bytes) => readHub({ repository: 'a/b', revision: 'main', file: undefined }, bytes);

const readers = (): Reader[] => [
  ...['llamagen-c2i/model', 'dtypes'].map((name) => ({
    base: golden(name === 'dtypes' ? 'torch/dtypes.safetensors' : `${name}.safetensors`),
    read: checkpoint,
  })),
  ...['bare', 'model', 'views', 'numpy', 'numpy-4', 'dtypes', 'system', 'protocol-5'].map((name) => ({
    base: golden(`torch/${name}.pt`),
    read: checkpoint,
  })),
  ...['llama', 't5', 'janus', 'chameleon'].map((name) => ({
    base: golden(`tokenizers/${name}/tokenizer.json`),
    read: tokenizer,
  })),
  { base: text(JSON.stringify(INDEX)), read: index },
  { base: text(JSON.stringify(LISTING)), read: listing },
];

/** Small pieces that mean something to some reader. */
const WORDS = [
  ...['(a+)+$', '(.*)*b', '\\\\1', '(?=a)', '[[:alpha:]]', '{1,1000}', '\\\\p{', '\\\\s+(?!\\\\S)'],
  ...[
    '[0,0,0,0,0,0,0,0]',
    '1e999',
    '-1',
    '9007199254740993',
    'null',
    '"\\ud800"',
    '{}',
    '[]',
    '__proto__',
    '../x',
    '/etc/passwd',
  ],
  ...['PK\x05\x06', 'PK\x01\x02', '\x80\x02', 'cos\nsystem\n', 'R', '(', '}', '\xff\xff\xff\xff'],
];

const NUMBERS = [0, 1, 127, 128, 255];

const EDITS: readonly ((bytes: Bytes, chance: Chance) => Bytes)[] = [
  (bytes, { below, pick }) => {
    for (let i = 1 + below(8); i > 0; i--) bytes[near(bytes, below)] = pick([...NUMBERS, below(256)]);
    return bytes;
  },
  (bytes, { below }) => bytes.slice(0, below(bytes.length)),
  (bytes, { below }) => {
    const at = near(bytes, below);
    return joined(bytes.slice(0, at), bytes.slice(at + below(64)));
  },
  (bytes, { below }) => {
    const at = near(bytes, below);
    const part = bytes.slice(at, at + 1 + below(200));
    return joined(bytes.slice(0, at), ...Array<Bytes>(1 + below(50)).fill(part), bytes.slice(at));
  },
  (bytes, { below, pick }) => {
    const at = near(bytes, below);
    const word = Uint8Array.from(pick(WORDS), (character) => character.charCodeAt(0));
    return joined(bytes.slice(0, at), word, bytes.slice(at + (below(2) ? word.length : 0)));
  },
  (bytes, { below, pick }) => {
    const at = near(bytes, below);
    const piece = text(pick(['[', '{"a":', '(', ' ', '0,', '],', '"a":1,', 'a', '\u0000']));
    return joined(bytes.slice(0, at), ...Array<Bytes>(10 ** (1 + below(5))).fill(piece), bytes.slice(at));
  },
  (bytes, { below }) => {
    new DataView(bytes.buffer).setBigUint64(below(Math.max(1, bytes.length - 8)), BigInt(2) ** BigInt(below(64)), true);
    return bytes;
  },
];

/** Most that can be lied about stands at the ends. */
function near(bytes: Bytes, below: Chance['below']): number {
  const side = below(3);
  if (side === 2) return below(bytes.length);
  const offset = Math.min(below(600), Math.max(0, bytes.length - 1));
  return side === 0 ? offset : Math.max(0, bytes.length - 1 - offset);
}

function joined(...parts: readonly Bytes[]): Bytes {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** Of JSON, one field given another value: what damage to bytes rarely leaves readable. */
function retyped(bytes: Bytes, { below, pick }: Chance): Bytes {
  const root: unknown = JSON.parse(new TextDecoder().decode(bytes));
  let at: unknown = root;
  for (let depth = 1 + below(6); ; depth--) {
    if (typeof at !== 'object' || at === null) break;
    const keys = Object.keys(at);
    if (keys.length === 0) break;
    const key = pick(keys.slice(0, 50));
    const inner: unknown = Reflect.get(at, key);
    if (depth > 0 && typeof inner === 'object' && inner !== null) at = inner;
    else {
      const rule = {
        type: 'Replace',
        pattern: { Regex: pick(['(a+)+$', '', '.', '(a|aa)*$']) },
        content: pick(['', 'aa', 'x'.repeat(300)]),
      };
      const split = { type: 'Split', pattern: { Regex: '(a+)+$' }, behavior: 'Isolated' };
      const many = (one: unknown) => Array(1 + below(40)).fill(one);
      const value = pick<unknown>([
        null,
        -1,
        1e308,
        '',
        'x'.repeat(below(1e5)),
        [],
        {},
        rule,
        split,
        many(0),
        many(inner),
      ]);
      const sequence = {
        type: 'Sequence',
        normalizers: many(rule),
        pretokenizers: many(split),
        processors: many(rule),
      };
      Reflect.set(at, key, pick([value, sequence]));
      break;
    }
  }
  return text(JSON.stringify(root));
}

export async function filesAttack(): Promise<Attack> {
  const all = readers();
  return {
    name: 'files',
    async run(chance) {
      const at = chance.below(all.length);
      const { base, read } = all[at]!;
      let bytes = base.slice();
      const isJson = bytes[0] === 123;
      const edits: number[] = [];
      for (let i = 1 + chance.below(3); i > 0; i--) {
        const edit = isJson && edits.length === 0 && chance.below(2) ? -1 : chance.below(EDITS.length);
        edits.push(edit);
        bytes = edit < 0 ? retyped(bytes, chance) : EDITS[edit]!(bytes, chance);
        if (bytes.length < 8) break;
      }
      return { what: `reader ${at}, edits ${edits}`, bytes: 4 * bytes.length, end: () => read(bytes) };
    },
  };
}
