import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { generate } from '../../../src/generate.ts';
import type { ImageModel } from '../../../src/models/image-model.ts';
import type { JanusConfig } from '../../../src/models/janus/config.ts';
import { janusTemplate } from '../../../src/models/janus/tokens.ts';
import type { TextPrompt } from '../../../src/models/text/prompt.ts';
import { makeTokenizer } from '../../../src/models/text/tokenizer/make-tokenizer.ts';
import { loadTokenizer, type TextTokenizer } from '../../../src/models/text/tokenizer/tokenizer.ts';
import type { Checkpoint } from '../../../src/tensor/checkpoint/checkpoint.ts';
import { FormatError, OptionError } from '../../../src/tensor/errors.ts';
import type { Runtime } from '../../../src/tensor/runtime.ts';
import { type Golden, openGolden } from '../../support/golden.ts';
import { janusConfig, openJanus } from '../../support/janus.ts';
import { memoryTensor } from '../../support/memory-checkpoint.ts';
import { randomValues } from '../../support/random.ts';
import { compute, testRuntime } from '../../support/runtime.ts';

const FOLDER = 'test/golden/tokenizers';
/** Rows of the text table: more than the tokenizer has ids, as in the released models. */
const VOCABULARY = 720;

describe('Janus-Pro with its tokenizer', () => {
  let runtime: Runtime;
  let golden: Golden;
  let checkpoint: Checkpoint;
  let config: JanusConfig;
  let tokenizer: TextTokenizer;
  let model: ImageModel<TextPrompt>;
  const load = async (options: { readonly tokenizer?: TextTokenizer; readonly config?: JanusConfig }) =>
    await openJanus(runtime, checkpoint, { config, ...options });
  before(async () => {
    runtime = await testRuntime();
    golden = await openGolden('janus');
    const { padToken: _, ...rest } = janusConfig();
    config = { ...rest, vocabulary: VOCABULARY };
    const shape = [VOCABULARY, config.width];
    const table = memoryTensor('table', { shape, values: randomValues(11, VOCABULARY * config.width) });
    const tensors = new Map([...golden.model.tensors, ['language_model.model.embed_tokens.weight', table]]);
    checkpoint = { ...golden.model, tensors };
    tokenizer = await loadTokenizer(`${FOLDER}/janus/tokenizer.json`, {
      config: `${FOLDER}/janus/tokenizer_config.json`,
    });
    model = await load({ tokenizer });
  });
  after(async () => {
    model.dispose();
    await golden.close();
  });

  /** Embeddings of every row, [R, T, C]. */
  async function embeddings(from: ImageModel<TextPrompt>, prompt: TextPrompt, isGuided: boolean) {
    using condition = from.condition(prompt, isGuided);
    return { values: await compute(runtime, () => condition.embeddings()), tokens: condition.promptLength };
  }

  it('reads words through the template, from the begin token to the begin of the image', async () => {
    const ids = tokenizer.encode(janusTemplate('a red cat'));
    assert.equal(tokenizer.token(ids[0]!), '<｜begin▁of▁sentence｜>');
    assert.equal(tokenizer.token(ids.at(-1)!), '<begin_of_image>');
    assert.equal(tokenizer.token(ids[1]!), '<|User|>');
    const words = await embeddings(model, { prompts: ['  a red cat\n'] }, true);
    const given = await embeddings(model, { promptTokens: [ids] }, true);
    assert.equal(words.tokens, ids.length);
    assert.deepEqual(words.values, given.values);
  });

  it('replaces all but the first and last token of the unconditional row by the pad token of the tokenizer', async () => {
    const ids = tokenizer.encode(janusTemplate('a red cat'));
    const pad = tokenizer.id('<｜▁pad▁｜>');
    const row = ids.map((id, i) => (i === 0 || i === ids.length - 1 ? id : pad));
    const both = await embeddings(model, { prompts: ['a red cat'] }, true);
    const alone = await embeddings(model, { promptTokens: [row] }, false);
    assert.deepEqual(both.values.subarray(both.values.length / 2), alone.values);
  });

  it('draws from words what it draws from their ids', async () => {
    const ids = tokenizer.encode(janusTemplate('a red cat'));
    const options = { seed: 4, cache: { budgetLines: 3 } } as const;
    const [words] = await generate(model, { ...options, prompt: { prompts: ['a red cat'] } });
    const [given] = await generate(model, { ...options, prompt: { promptTokens: [ids] } });
    assert.deepEqual(words, given);
  });

  it('refuses words that become too many tokens, naming the limit', async () => {
    const prompt = { prompts: ['many words '.repeat(40)] };
    await assert.rejects(
      generate(model, { prompt }),
      (error) => error instanceof OptionError && /^prompts\[0\]: expected 1 to 64 tokens, got \d+/.test(error.message),
    );
  });

  it('refuses guidance without a tokenizer to tell the pad token, and draws ids without guidance', async () => {
    using untold = await load({});
    const prompt = { promptTokens: [[1, 2, 3]] };
    await assert.rejects(
      generate(untold, { prompt }),
      (error) => error instanceof OptionError && /^guidanceScale: expected at most 1 without/.test(error.message),
    );
    assert.equal((await generate(untold, { prompt, guidanceScale: 1 })).length, 1);
  });

  it('refuses a tokenizer of another model by its special tokens, before anything is loaded', async () => {
    const read = (file: string) => readFileSync(`${FOLDER}/${file}`, 'utf8');
    const file = JSON.parse(read('janus/tokenizer.json'));
    const added = file.added_tokens.filter(({ content }: { content: string }) => content !== '<begin_of_image>');
    const textual = makeTokenizer('textual', JSON.stringify({ ...file, added_tokens: added }));
    const before = runtime.counters.buffers;
    const refused: readonly (readonly [Parameters<typeof load>[0], RegExp])[] = [
      [{ tokenizer: await loadTokenizer(`${FOLDER}/chameleon/tokenizer.json`) }, /expected a token <begin_of_image>/],
      [{ tokenizer: textual }, /^textual: expected a token <begin_of_image>, got none/],
      [{ tokenizer, config: { ...config, vocabulary: 700 } }, /expected <begin_of_image> below 700, got 705/],
    ];
    for (const [options, text] of refused) {
      await assert.rejects(load(options), (error) => error instanceof FormatError && text.test(error.message));
    }
    assert.equal(runtime.counters.buffers, before);
  });
});
