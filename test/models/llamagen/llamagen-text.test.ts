import assert from 'node:assert/strict';
import { type GenerateOptions, generate } from '../../../src/generate.ts';
import type { ImageModel } from '../../../src/models/image-model.ts';
import type { LlamaGenPrompt } from '../../../src/models/llamagen/condition.ts';
import { cleanCaption } from '../../../src/models/text/caption/caption-text.ts';
import { loadTokenizer, type TextTokenizer } from '../../../src/models/text/tokenizer/tokenizer.ts';
import { FormatError, OptionError } from '../../../src/tensor/errors.ts';
import type { Runtime } from '../../../src/tensor/runtime.ts';
import { close } from '../../support/close.ts';
import { openGolden } from '../../support/golden.ts';
import { compute, testRuntime } from '../../support/runtime.ts';
import { tinyTextModel } from '../../support/tiny-text-model.ts';

const PROMPTS = ['A photo of a CAT on the moon, https://example.com', 'two dogs &amp; a red bicycle'];
const TOKENS = 120;
const WIDTH = 40;

const openTokenizer = (kind: string) => loadTokenizer(`test/golden/tokenizers/${kind}/tokenizer.json`);

/** Captions of test/golden/t5: their ids, and their features in the order of the reference, padding behind. */
async function goldenCaptions(): Promise<{ ids: number[][]; features: Float32Array[] }> {
  const golden = await openGolden('t5');
  const [all, mask, moved] = [await golden.values('ids'), await golden.values('mask'), await golden.values('features')];
  await golden.close();
  const ids: number[][] = [];
  const features: Float32Array[] = [];
  for (let row = 0; row * TOKENS < all.length; row++) {
    const own = Array.from({ length: TOKENS }, (_, i) => row * TOKENS + i);
    const valid = own.filter((i) => mask[i] === 1);
    ids.push(valid.map((i) => all[i]!));
    const placed = new Float32Array(TOKENS * WIDTH);
    const from = (row * TOKENS + TOKENS - valid.length) * WIDTH;
    for (let i = 0; i < valid.length * WIDTH; i++) placed[i] = moved[from + i]!;
    features.push(placed);
  }
  return { ids, features };
}

describe('LlamaGen from text', () => {
  let runtime: Runtime;
  let tokenizer: TextTokenizer;
  let model: ImageModel<LlamaGenPrompt>;

  before(async () => {
    runtime = await testRuntime();
    tokenizer = await openTokenizer('t5');
    model = await tinyTextModel(runtime, { tokenizer });
  });
  after(() => model.dispose());

  const embeddings = async (prompt: LlamaGenPrompt, guided: boolean) => {
    using condition = model.condition(prompt, guided);
    return { leftPadding: condition.leftPadding, values: await compute(runtime, () => condition.embeddings()) };
  };
  const draw = async (prompt: LlamaGenPrompt, options: Partial<GenerateOptions<LlamaGenPrompt>> = {}) =>
    (await generate(model, { temperature: 0, ...options, prompt })).map(({ tokens }) => [...tokens]);

  it('makes of ids what it makes of the features that the reference encoder gives for them', async () => {
    const { ids, features } = await goldenCaptions();
    for (const guided of [false, true]) {
      const text = await embeddings({ promptTokens: ids }, guided);
      const captions = features.map((values, i) => ({ features: values, length: ids[i]!.length }));
      const given = await embeddings({ captions }, guided);
      assert.deepEqual(text.leftPadding, given.leftPadding);
      assert.equal(text.values.length, (guided ? 2 : 1) * ids.length * TOKENS * 48);
      close(text.values, given.values, { absolute: 2e-4, relative: 1e-4 });
    }
  });

  it('draws from words what it draws from their ids', async () => {
    const promptTokens = PROMPTS.map((text) => tokenizer.encode(cleanCaption(text)));
    const fromWords = await draw({ prompts: PROMPTS });
    assert.deepEqual(fromWords, await draw({ promptTokens }));
    assert.notDeepEqual(fromWords[0], fromWords[1]);
    assert.equal(fromWords[0]!.length, 64);
  });

  it('reads words as their cleaning leaves them', async () => {
    const raw = await embeddings({ prompts: PROMPTS }, false);
    assert.deepEqual(
      await embeddings({ prompts: ['a photo of a cat on the moon,', 'TWO dogs a red bicycle'] }, false),
      raw,
    );
  });

  it('draws a prompt alone as in a batch', async () => {
    const options = { temperature: 1, seed: 4, cache: { policy: 'line-ar', budgetLines: 4 } as const };
    const batch = await draw({ prompts: PROMPTS }, options);
    assert.deepEqual((await draw({ prompts: [PROMPTS[1]!] }, { ...options, firstImage: 1 }))[0], batch[1]);
  });

  it('gives back all memory', async () => {
    const before = runtime.liveBytes;
    await draw({ prompts: PROMPTS });
    assert.equal(runtime.liveBytes, before);
    const other = await tinyTextModel(runtime, { tokenizer });
    other.dispose();
    assert.equal(runtime.liveBytes, before);
  });

  it('refuses prompts that it cannot draw, before anything is allocated', async () => {
    const long = Array.from({ length: 200 }, () => 'cat').join(' ');
    const wrong: readonly (readonly [LlamaGenPrompt, RegExp])[] = [
      [{ prompts: [] }, /prompt: expected .* at least one/],
      [{ prompts: ['a cat', '  '] }, /prompts\[1\]: expected a text that is not empty/],
      [{ prompts: ['https://example.com'] }, /prompt: expected words, got "https:.*cleaning of captions leaves none/],
      [{ prompts: [long] }, /prompts\[0\]: expected 1 to 120 tokens, got \d{3}; shorten the text/],
      [{ promptTokens: [[1, 384]] }, /prompts\[0\]: expected ids from 0 to 383, got 384/],
      [{ promptTokens: [[]] }, /prompts\[0\]: expected 1 to 120 tokens, got 0/],
      [{ prompts: ['a cat'], width: 512 }, /size: expected 16 x 16, .* got 512 x 16/],
      [{ classes: [1] }, /prompt: expected \{ prompts: \[\.\.\.\] \} or \{ captions/],
    ];
    const { buffers } = runtime.counters;
    for (const [prompt, text] of wrong)
      await assert.rejects(
        draw(prompt),
        (error) => error instanceof OptionError && text.test(error.message),
        String(text),
      );
    assert.equal(runtime.counters.buffers, buffers);
  });

  it('says what is missing: the encoder, or the tokenizer', async () => {
    using bare = await tinyTextModel(runtime, { tokenizer, withEncoder: false });
    assert.throws(
      () => bare.condition({ prompts: ['a cat'] }, true),
      /load the model with \{ textEncoder, tokenizer \}/,
    );
    using mute = await tinyTextModel(runtime, {});
    assert.throws(() => mute.condition({ prompts: ['a cat'] }, true), /expected a tokenizer to read it, got none/);
    using ids = mute.condition({ promptTokens: [[5, 1]] }, true);
    assert.deepEqual(ids.leftPadding, [118, 118]);
  });

  it('refuses the tokenizer of another model, and keeps nothing', async () => {
    const before = runtime.liveBytes;
    for (const kind of ['janus', 'chameleon', 'llama']) {
      const other = await openTokenizer(kind);
      await assert.rejects(
        tinyTextModel(runtime, { tokenizer: other }),
        (error) => error instanceof FormatError && /does not belong to the/.test(error.message),
        kind,
      );
    }
    assert.equal(runtime.liveBytes, before);
  });
});
