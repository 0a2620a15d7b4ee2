import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { generate } from '../../../src/generate.ts';
import type { ChameleonConfig } from '../../../src/models/chameleon/config.ts';
import { chameleon } from '../../../src/models/chameleon/family.ts';
import { chameleonText, imageToken } from '../../../src/models/chameleon/tokens.ts';
import type { ImageModel } from '../../../src/models/image-model.ts';
import { modelDefinition } from '../../../src/models/registry.ts';
import type { TextPrompt } from '../../../src/models/text/prompt.ts';
import { makeTokenizer } from '../../../src/models/text/tokenizer/make-tokenizer.ts';
import { loadTokenizer, type TextTokenizer } from '../../../src/models/text/tokenizer/tokenizer.ts';
import type { Checkpoint } from '../../../src/tensor/checkpoint/checkpoint.ts';
import { FormatError, OptionError } from '../../../src/tensor/errors.ts';
import type { Runtime } from '../../../src/tensor/runtime.ts';
import { luminaConfig, openLumina, splitCheckpoint } from '../../support/chameleon.ts';
import { type Golden, openGolden } from '../../support/golden.ts';
import { memoryTensor } from '../../support/memory-checkpoint.ts';
import { randomValues } from '../../support/random.ts';
import { compute, testRuntime } from '../../support/runtime.ts';

const FOLDER = 'test/golden/tokenizers';
/** The small tokenizer's: all its ids, and the images that it has names for. */
const VOCABULARY = 760;
const CODES = 48;
const TOKENS = { imageStart: 53, size: 63, newline: 62, firstCode: 4 };

describe('Lumina-mGPT with its tokenizer', () => {
  let runtime: Runtime;
  let golden: Golden;
  let config: ChameleonConfig;
  let parts: ReturnType<typeof splitCheckpoint>;
  let tokenizer: TextTokenizer;
  let model: ImageModel<TextPrompt>;
  const load = async (options: { readonly tokenizer: TextTokenizer; readonly config?: ChameleonConfig }) =>
    await openLumina(runtime, parts, { config, ...options });
  before(async () => {
    runtime = await testRuntime();
    golden = await openGolden('chameleon');
    const base = luminaConfig();
    const { width } = base;
    const codebook = { ...base.vq.codebook, count: CODES };
    config = {
      ...base,
      vocabulary: VOCABULARY,
      tokens: TOKENS,
      mostPromptTokens: 120,
      vq: { ...base.vq, codebook },
    };
    const { transformer, vqgan } = splitCheckpoint(golden.model);
    const replaced = (checkpoint: Checkpoint, name: string, rows: number, columns: number): Checkpoint => {
      const values = randomValues(rows + columns, rows * columns);
      const tensor = memoryTensor(name, { shape: [rows, columns], values });
      return { ...checkpoint, tensors: new Map([...checkpoint.tensors, [name, tensor]]) };
    };
    const table = replaced(transformer, 'model.embed_tokens.weight', VOCABULARY, width);
    parts = {
      transformer: replaced(table, 'lm_head.weight', VOCABULARY, width),
      vqgan: replaced(vqgan, 'quantize.embedding.weight', CODES, codebook.width),
    };
    tokenizer = await loadTokenizer(`${FOLDER}/chameleon/tokenizer.json`);
    model = await load({ tokenizer });
  });
  after(async () => {
    model.dispose();
    await golden.close();
  });

  /** Embeddings of every row, [R, T, C]. */
  async function embeddings(prompt: TextPrompt) {
    using condition = model.condition(prompt, true);
    return { values: await compute(runtime, () => condition.embeddings()), tokens: condition.promptLength };
  }

  it('reads words through the template: begin, the size in pixels, the words, end of turn', () => {
    const ids = chameleonText(tokenizer, 'A dog.', 768, 1024);
    const encodings: [string, number[]][] = JSON.parse(readFileSync(`${FOLDER}/encodings.json`, 'utf8')).chameleon;
    const expected = 'Generate an image of 768x1024 according to the following prompt:\nA dog.<reserved08706>';
    assert.deepEqual(ids, new Map(encodings).get(expected));
    assert.equal(tokenizer.token(ids[0]!), '<s>');
    assert.equal(tokenizer.token(ids.at(-1)!), '<reserved08706>');
  });

  it('puts the begin token in front once, whether the file does or not', () => {
    const file = JSON.parse(readFileSync(`${FOLDER}/chameleon/tokenizer.json`, 'utf8'));
    const bare = makeTokenizer('bare', JSON.stringify({ ...file, post_processor: null }));
    assert.notEqual(tokenizer.token(bare.encode('A dog.')[0]!), '<s>');
    assert.deepEqual(chameleonText(bare, 'A dog.', 64, 32), chameleonText(tokenizer, 'A dog.', 64, 32));
  });

  it('feeds the words of the size that is drawn, which the ids alone would give too', async () => {
    const pixels = 2 * model.patch;
    for (const [across, down] of [
      [3, 3],
      [4, 2],
      [2, 4],
    ] as const) {
      const size = { width: across * pixels, height: down * pixels };
      const ids = chameleonText(tokenizer, 'a red cat', size.width, size.height);
      const words = await embeddings({ prompts: ['a red cat'], ...size });
      assert.equal(words.tokens, ids.length + 3);
      assert.deepEqual(words.values, (await embeddings({ promptTokens: [ids], ...size })).values);
    }
  });

  it('draws from words what it draws from their ids', async () => {
    const pixels = 2 * config.grids * model.patch;
    const ids = chameleonText(tokenizer, 'a red cat', pixels, pixels);
    const options = { seed: 4, cache: { budgetLines: 3 } } as const;
    const [words] = await generate(model, { ...options, prompt: { prompts: ['a red cat'] } });
    const [given] = await generate(model, { ...options, prompt: { promptTokens: [ids] } });
    assert.deepEqual(words, given);
  });

  it('refuses an empty prompt, and words that become too many tokens, naming the limit', async () => {
    for (const [text, message] of [
      [' \n', /^prompts\[0\]: expected a text that is not empty/],
      ['many words '.repeat(40), /^prompts\[0\]: expected 1 to 120 tokens, got \d+; shorten/],
    ] as const) {
      await assert.rejects(
        generate(model, { prompt: { prompts: [text] } }),
        (error) => error instanceof OptionError && message.test(error.message),
      );
    }
  });

  it('refuses a tokenizer whose tokens are not the rows of the model, before anything is loaded', async () => {
    const before = runtime.counters.buffers;
    const read = readFileSync(`${FOLDER}/chameleon/tokenizer.json`, 'utf8');
    const swapped = read
      .replaceAll('IMGIMGHZ', 'IMGIMG7Z')
      .replaceAll('IMGIMGIZ', 'IMGIMGHZ')
      .replaceAll('IMGIMG7Z', 'IMGIMGIZ');
    const of = (tokens: Partial<typeof TOKENS>) => ({
      tokenizer,
      config: { ...config, tokens: { ...TOKENS, ...tokens } },
    });
    const refused: readonly (readonly [Parameters<typeof load>[0], RegExp])[] = [
      [{ tokenizer: await loadTokenizer(`${FOLDER}/janus/tokenizer.json`) }, /janus.*expected a token <s>, got none/],
      [{ tokenizer: makeTokenizer('swapped', swapped) }, /^swapped: expected token IMGIMGHZ to have id 11, got 12/],
      [of({ imageStart: 52 }), /expected token <racm3:break> to have id 52, got 53/],
      [of({ newline: 61 }), /expected token <reserved08799> to have id 61, got 62/],
      [of({ size: 64 }), /expected token <reserved08801> to have id 65, got 64/],
      [of({ firstCode: 5 }), /expected token IMGIMGAZ to have id 5, got 4/],
    ];
    for (const [options, text] of refused) {
      await assert.rejects(load(options), (error) => {
        assert.ok(error instanceof FormatError);
        assert.match(error.message, text);
        return true;
      });
    }
    assert.equal(runtime.counters.buffers, before);
  });

  it('accepts the released ids: images from 4 on, sizes after 8804, all 8192 names in order', () => {
    const names = new Map<string, number>([
      ['<s>', 0],
      ['<racm3:break>', 8197],
      ['<reserved08706>', 8710],
      ['<reserved08799>', 8803],
    ]);
    for (let code = 0; code < 8192; code++) names.set(imageToken(code), code + 4);
    for (let grids = 1; grids <= 64; grids++) names.set(`<reserved0${8800 + grids}>`, 8804 + grids);
    const released: TextTokenizer = { ...tokenizer, id: (token) => names.get(token) ?? Number.NaN };
    for (const name of Object.keys(chameleon.presets)) {
      const definition = modelDefinition(name);
      definition.expectTokenizer?.(released);
      names.set('IMGIMGIBJBZ', 9000);
      assert.throws(() => definition.expectTokenizer?.(released), /IMGIMGIBJBZ to have id 8195, got 9000/);
      names.set('IMGIMGIBJBZ', 8195);
    }
    assert.equal(imageToken(120), 'IMGIMGBCAZ');
  });
});
