import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { characterMap } from '../../../src/models/text/tokenizer/character-map.ts';
import { makeTokenizer } from '../../../src/models/text/tokenizer/make-tokenizer.ts';
import { loadTokenizer, type TextTokenizer } from '../../../src/models/text/tokenizer/tokenizer.ts';
import { FormatError, OptionError } from '../../../src/tensor/errors.ts';
import { rangedSource } from '../../../src/tensor/source/bytes.ts';

const FOLDER = 'test/golden/tokenizers';
const KINDS = ['janus', 'chameleon', 'llama', 't5', 't5-metaspace'] as const;
const ENCODINGS: Readonly<Record<string, readonly (readonly [string, readonly number[]])[]>> = JSON.parse(
  readFileSync(`${FOLDER}/encodings.json`, 'utf8'),
);

const fileOf = (kind: string) => `${FOLDER}/${kind}/tokenizer.json`;
const read = (kind: string) => readFileSync(fileOf(kind), 'utf8');
const janusConfig = () => ({
  name: 'tokenizer_config.json',
  text: readFileSync(`${FOLDER}/janus/tokenizer_config.json`, 'utf8'),
});

async function open(kind: string): Promise<TextTokenizer> {
  return await loadTokenizer(
    fileOf(kind),
    kind === 'janus' ? { config: `${FOLDER}/janus/tokenizer_config.json` } : undefined,
  );
}

function refused(text: RegExp): (error: unknown) => boolean {
  return (error) => error instanceof FormatError && text.test(error.message);
}

type Root = { model: { vocab: object }; normalizer: object; added_tokens: object[] };

/** tokenizer.json of a kind with some of its fields replaced. */
function changed(kind: string, change: (root: Root) => void): string {
  const root: Root = JSON.parse(read(kind));
  change(root);
  return JSON.stringify(root);
}

describe('tokenizer', () => {
  for (const kind of KINDS) {
    it(`gives the ids of the Rust library for every text, kind ${kind}`, async () => {
      const tokenizer = await open(kind);
      for (const [text, ids] of ENCODINGS[kind]!)
        assert.deepEqual(tokenizer.encode(text), ids, `${kind}: ${JSON.stringify(text)}`);
    });
  }

  it('normalizes by the character map of the file, cluster by cluster', () => {
    const { normalizer } = JSON.parse(read('t5'));
    const map = characterMap('map', normalizer.precompiled_charsmap);
    const golden: readonly (readonly [string, string])[] = JSON.parse(
      readFileSync(`${FOLDER}/normalized.json`, 'utf8'),
    );
    for (const [text, expected] of golden) assert.equal(map.normalize(text), expected, JSON.stringify(text));
  });

  it('finds special tokens by name, and their names by id', async () => {
    const names: Readonly<Record<string, readonly string[]>> = {
      janus: ['<｜▁pad▁｜>', '<｜begin▁of▁sentence｜>', '<begin_of_image>', '<|User|>', '<|Assistant|>'],
      chameleon: [
        '<racm3:break>',
        '<eoss>',
        '<reserved08799>',
        '<reserved08706>',
        '<reserved08824>',
        'IMGIMGBCZ',
        '<s>',
      ],
      t5: ['</s>', '<pad>', '<extra_id_0>'],
    };
    for (const [kind, tokens] of Object.entries(names)) {
      const tokenizer = await open(kind);
      for (const token of tokens) {
        const id = tokenizer.id(token);
        assert.equal(tokenizer.token(id), token);
        assert.ok(id < tokenizer.vocabulary);
        assert.ok(tokenizer.encode(`a${token}b`).includes(id), `${kind}: ${token}`);
      }
      assert.equal(tokenizer.token(tokenizer.vocabulary), undefined);
      assert.notEqual(tokenizer.token(tokenizer.vocabulary - 1), undefined);
    }
  });

  it('names file and token when the tokenizer is of another model', async () => {
    const t5 = await open('t5');
    assert.throws(
      () => t5.id('<racm3:break>'),
      refused(/t5\/tokenizer\.json: expected a token <racm3:break>, got none; .*does not belong to the model/),
    );
  });

  it('takes the begin token from the configuration of a Llama class, and from nothing else', () => {
    const begin = (config: object) =>
      makeTokenizer('t', read('janus'), { name: 'c', text: JSON.stringify(config) }).encode('a');
    const bare = makeTokenizer('t', read('janus')).encode('a');
    const tokens = { bos_token: '<｜begin▁of▁sentence｜>', eos_token: { content: '<｜end▁of▁sentence｜>' } };
    assert.equal(bare.length, 1);
    assert.equal(begin({ ...tokens, tokenizer_class: 'LlamaTokenizerFast' }).length, 2);
    assert.equal(begin({ ...tokens, tokenizer_class: 'LlamaTokenizer', add_eos_token: true }).length, 3);
    assert.deepEqual(begin({ ...tokens, tokenizer_class: 'LlamaTokenizer', add_bos_token: false }), bare);
    assert.deepEqual(begin({ ...tokens, tokenizer_class: 'PreTrainedTokenizerFast' }), bare);
    assert.throws(() => begin({ tokenizer_class: 'LlamaTokenizer' }), refused(/^t: expected ids below \d+, got/));
  });

  it('splits by text, removes, and takes $ in a replacement as it is', () => {
    const removing = changed('llama', (root) => {
      Object.assign(root, {
        normalizer: { type: 'Replace', pattern: { String: 'a.c' }, content: '$&$1' },
        pre_tokenizer: { type: 'Split', pattern: { String: '.' }, behavior: 'Removed', invert: false },
      });
    });
    const tokenizer = makeTokenizer('t', removing);
    const spelled = (text: string) => tokenizer.encode(text).map((id) => tokenizer.token(id));
    assert.deepEqual(spelled('a.c'), ['<s>', '<0x24>', '&', '<0x24>', '1']);
    assert.deepEqual(spelled('b.c'), ['<s>', 'b', 'c']);
  });

  it('matches patterns of a file in linear time, with the classes of the Rust library', () => {
    const split = (regex: string) =>
      changed('llama', (root) =>
        Object.assign(root, {
          normalizer: null,
          pre_tokenizer: { type: 'Split', pattern: { Regex: regex }, behavior: 'Removed' },
        }),
      );
    const kept = (regex: string, text: string) => {
      const tokenizer = makeTokenizer('t', split(regex));
      return tokenizer.encode(text).length - 1; // the begin token
    };
    const letters = 'a'.repeat(16_000);

    for (const regex of ['(a+)+$', '(a|aa)+$', '(a*)*b', '([a-z]+)*x|^$', '(.*)(.*)(.*)(.*)(.*)[^a]$'])
      assert.ok(kept(regex, `${letters}!`) >= 0, regex);
    assert.equal(kept('\\s+', '\u0085\u00a0\u2028\u3000 \t'), 0);
    assert.ok(kept('\\s+', '\ufeff') > 0); // white space in JavaScript alone
    assert.equal(kept('[^\\S\\d]+|\\d+|\\w', '\u00a0\u0663a_'), 0);
    for (const regex of ['(?=a)a', '(a)\\1', '(?<!a)b', 'a++', '[a', '(x?){1000}'.repeat(9), 'x'.repeat(5000)])
      assert.throws(
        () => makeTokenizer('t', split(regex)),
        refused(/^t: pre_tokenizer\.pattern: expected/),
        regex.slice(0, 20),
      );
  });

  it('refuses rules that make a text grow without end, and a text without end', () => {
    const growing = { type: 'Replace', pattern: { String: 'a' }, content: 'aa' };
    const normalizers = (...all: readonly object[]) =>
      changed('llama', (root) => Object.assign(root, { normalizer: { type: 'Sequence', normalizers: all } }));
    const nested = {
      type: 'Sequence',
      normalizers: Array(20).fill({ type: 'Sequence', normalizers: [{ type: 'NFC' }] }),
    };
    const template = { type: 'TemplateProcessing', single: Array(2).fill({ Sequence: { id: 'A', type_id: 0 } }) };

    assert.throws(
      () => makeTokenizer('t', normalizers(...Array(30).fill(growing))),
      refused(/at most 16384 characters of a prompt/),
    );
    assert.throws(() => makeTokenizer('t', normalizers(...Array(40).fill(growing))), refused(/at most 32 rules/));
    assert.throws(() => makeTokenizer('t', normalizers(nested, nested)), refused(/at most 32 rules/));
    assert.throws(
      () => makeTokenizer('t', normalizers({ type: 'Prepend', prepend: 'x'.repeat(10 ** 6) })),
      refused(/at most 256 characters of a replacement/),
    );
    assert.throws(
      () =>
        makeTokenizer(
          't',
          changed('llama', (root) => Object.assign(root, { post_processor: template })),
        ),
      refused(/expected the text once, got it 2 times/),
    );
    assert.throws(() => makeTokenizer('t', read('t5')).encode('x'.repeat(10 ** 6)), OptionError);
  });

  it('refuses what it would read wrong, by place', () => {
    const wrong: readonly (readonly [string, (root: Root) => void, RegExp])[] = [
      ['t5', (r) => Object.assign(r, { pre_tokenizer: { type: 'FixedLength', length: 0 } }), /pre_tokenizer\.type/],
      ['t5', (r) => Object.assign(r, { normalizer: { type: 'BertNormalizer' } }), /normalizer\.type: expected/],
      ['t5', (r) => Object.assign(r.model, { unk_id: null }), /model\.unk_id: expected an id/],
      ['t5', (r) => Object.assign(r.model, { vocab: [['a', 'b']] }), /model\.vocab\[0\]: expected a token and its/],
      [
        't5',
        (r) => Object.assign(r.normalizer, { precompiled_charsmap: 'AAA' }),
        /normalizer: expected a character map/,
      ],
      ['t5', (r) => Object.assign(r.normalizer, { precompiled_charsmap: '?' }), /normalizer: expected base64/],
      ['janus', (r) => Object.assign(r.model, { type: 'WordPiece' }), /model\.type: expected BPE or Unigram/],
      ['janus', (r) => Object.assign(r.model, { merges: [['a', 'zzz']] }), /model\.merges\[0\]: expected two tokens/],
      ['janus', (r) => Object.assign(r.model.vocab, { a: -1 }), /model\.vocab\["a"\]: expected an id/],
      ['janus', (r) => Object.assign(r.added_tokens[0]!, { id: 2 ** 40 }), /added_tokens\[0\]\.id: expected an id/],
      ['janus', (r) => Object.assign(r, { model: undefined }), /model: expected an object, got nothing/],
    ];
    for (const [kind, change, text] of wrong) {
      assert.throws(() => makeTokenizer('file', changed(kind, change)), refused(text), String(text));
    }
    for (const text of ['', 'null', '[]', '{}', '{', '"a"', '[['.repeat(20000)])
      assert.throws(() => makeTokenizer('file', text), refused(/^file: (model: )?expected/), text.slice(0, 20));
  });

  it('refuses bytes that are no UTF-8, and a file too large to be a tokenizer without reading it', async () => {
    await assert.rejects(loadTokenizer(Uint8Array.of(0xff, 0xfe)), refused(/expected UTF-8/));
    await assert.rejects(loadTokenizer('test/golden/none/tokenizer.json'), FormatError);
    const huge = rangedSource({ name: 'huge', size: 2 ** 30, readRange: () => assert.fail('read') });
    await assert.rejects(
      loadTokenizer(huge),
      refused(/^huge: expected at most 33554432 bytes of a tokenizer, got 1073741824/),
    );
  });

  it('meets damage with FormatError or with ids of its vocabulary, never with a crash', () => {
    const texts = ['a cat, 12 dogs...', '<s> 猫😀 \n\n é <|User|>', ''];
    const edit = fc.record({
      at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      remove: fc.nat({ max: 30 }),
      insert: fc.oneof(
        fc.constantFrom('', 'null', '[]', '{}', '-1', '1e9', '"', ',', '}', ']', 'true', '"Split"', '"Sequence"'),
        fc.string({ maxLength: 4 }),
      ),
    });
    const damaged = fc.tuple(fc.constantFrom(...KINDS), fc.array(edit, { minLength: 1, maxLength: 3 }));
    let sound = 0;
    fc.assert(
      fc.property(damaged, ([kind, edits]) => {
        let text = read(kind);
        for (const { at, remove, insert } of edits) {
          // most damage to the tables of tokens is alike: half of all edits meet the rest of the file
          const from = Math.floor(at < 0.5 ? at * 2 * text.length : Math.min(text.length, 3000) * (at - 0.5) * 2);
          text = text.slice(0, from) + insert + text.slice(from + remove);
        }
        try {
          const tokenizer = makeTokenizer('damaged', text, kind === 'janus' ? janusConfig() : undefined);
          for (const words of texts) {
            const ids = tokenizer.encode(words);
            assert.ok(ids.every((id) => Number.isInteger(id) && id >= 0 && id < tokenizer.vocabulary));
          }
          sound++;
        } catch (error) {
          if (!(error instanceof FormatError)) throw error;
          assert.match(error.message, /expected .*got /s);
        }
      }),
      // an edit that changes nothing: this file is surely taken, whatever the seed draws
      { numRuns: 400, examples: [[['llama', [{ at: 0.25, remove: 0, insert: '' }]]]] },
    );
    assert.ok(sound > 0, 'no file was taken');
  });

  it('meets a field of another type with FormatError or with ids of its vocabulary', () => {
    const values = fc.constantFrom<unknown>(null, 0, -1, 1.5, '', 'x', [], {}, true, [[]], { type: 'Sequence' });
    const damaged = fc.tuple(
      fc
        .constantFrom(...KINDS)
        .chain((kind) => fc.constantFrom(...paths(JSON.parse(read(kind))).map((path) => ({ kind, path })))),
      values,
    );
    fc.assert(
      fc.property(damaged, ([{ kind, path }, value]) => {
        const text = changed(kind, (root) => replaceAt(root, path, value));
        try {
          const tokenizer = makeTokenizer('damaged', text, kind === 'janus' ? janusConfig() : undefined);
          assert.ok(tokenizer.encode('a cat 12 é').every((id) => id >= 0 && id < tokenizer.vocabulary));
        } catch (error) {
          if (!(error instanceof FormatError)) throw error;
        }
      }),
      { numRuns: 400 },
    );
  });
});

/** Ways to every field, the first two of every table. */
function paths(value: unknown, prefix: readonly string[] = []): (readonly string[])[] {
  if (typeof value !== 'object' || value === null) return [prefix];
  const keys = Object.keys(value);
  const shown = keys.length > 12 ? keys.slice(0, 2) : keys;
  return [
    ...(prefix.length > 0 ? [prefix] : []),
    ...shown.flatMap((key) => paths((value as Record<string, unknown>)[key], [...prefix, key])),
  ];
}

function replaceAt(root: object, path: readonly string[], value: unknown): void {
  const holder = path.slice(0, -1).reduce((at: object, key) => at[key as never], root);
  Object.assign(holder, { [path.at(-1)!]: value });
}
