import assert from 'node:assert/strict';
import { type GenerateOptions, generate } from '../src/generate.ts';
import type { GeneratedImage } from '../src/generated-image.ts';
import type { ImageModel } from '../src/models/image-model.ts';
import type { LlamaGenPrompt } from '../src/models/llamagen/condition.ts';
import type { TextPrompt } from '../src/models/text/prompt.ts';
import { OptionError } from '../src/tensor/errors.ts';
import type { Runtime } from '../src/tensor/runtime.ts';
import { luminaConfig, openLumina, splitCheckpoint } from './support/chameleon.ts';
import { openGolden } from './support/golden.ts';
import { testRuntime } from './support/runtime.ts';
import { tinyModel } from './support/tiny-model.ts';

/** Lines of eight tokens, in a budget of which line ends evict from the fourth on. */
const CASES = [
  { cache: {}, lengths: [1, 13], luminaLines: 1 },
  { cache: { policy: 'line-ar', budgetLines: 4 }, lengths: [32, 45, 64], luminaLines: 4 },
] as const;

describe('generate with given tokens', () => {
  let runtime: Runtime;
  let model: ImageModel<LlamaGenPrompt>;
  let lumina: ImageModel<TextPrompt>;
  before(async () => {
    runtime = await testRuntime();
    model = await tinyModel(runtime);
    const golden = await openGolden('chameleon');
    const { transformer, vqgan } = splitCheckpoint(golden.model);
    lumina = await openLumina(runtime, { transformer, vqgan }, { config: luminaConfig() });
    await golden.close();
  });
  after(() => {
    model.dispose();
    lumina.dispose();
  });

  const tokens = (images: readonly GeneratedImage[]) => images.map((image) => [...image.tokens]);

  /** Draws whole images, then each again from its first tokens. */
  async function repeats<Prompt>(
    drawing: ImageModel<Prompt>,
    options: GenerateOptions<Prompt>,
    lengths: readonly number[],
  ): Promise<void> {
    const whole = await generate(drawing, options);
    for (const length of lengths) {
      const given = whole.map((image) => image.tokens.slice(0, length));
      const again = await generate(drawing, { ...options, tokens: given });
      assert.deepEqual(tokens(again), tokens(whole), `${length} tokens given`);
      assert.deepEqual(again[0]!.pixels, whole[0]!.pixels);
    }
  }

  for (const { cache, lengths, luminaLines } of CASES) {
    const policy = 'policy' in cache ? cache.policy : 'full';
    const sampling = { seed: 8, topK: 40, topP: 0.9, cfgInterval: 30, cache };

    it(`repeats a run token for token from any of its first ones (${policy})`, async () => {
      await repeats<LlamaGenPrompt>(model, { prompt: { classes: [3, 5] }, ...sampling }, lengths);
    });

    it(`repeats a run whose lines end with a forced token (${policy})`, async () => {
      const prompt: TextPrompt = { promptTokens: [[0, 120, 131, 117]] };
      const { lineLength } = lumina.grid(prompt);
      const first = luminaLines * lineLength;
      await repeats(lumina, { prompt, ...sampling }, [first - 1, first, first + 2]);
    });
  }

  it('goes on from tokens that it would not have drawn', async () => {
    const prompt = { classes: [3] };
    const zeros = new Array<number>(20).fill(0);

    const [image] = await generate(model, { prompt, seed: 8, tokens: [zeros] });

    const [other] = await generate(model, { prompt, seed: 8 });
    assert.deepEqual([...image!.tokens.slice(0, 20)], zeros);
    assert.notDeepEqual(image!.tokens.slice(20), other!.tokens.slice(20));
  });

  it('refuses tokens that the grid does not allow, before it allocates', async () => {
    const long = new Array<number>(65).fill(0);
    const wrong: readonly (readonly [GenerateOptions<LlamaGenPrompt>['tokens'], RegExp])[] = [
      [[[0, 256]], /^tokens\[0\]\[1\]: expected a whole number from 0 to 255, got 256$/],
      [[[0, 1.5]], /^tokens\[0\]\[1\]: expected a whole number/],
      [[[-1]], /^tokens\[0\]\[0\]: expected a whole number/],
      [[long], /^tokens\[0\]: expected at most 64, got 65$/],
      [[[0], [1, 2]], /^tokens\[1\]: expected 1, as of the first image, got 2$/],
      [[3 as never], /^tokens: expected a list/],
    ];
    const before = runtime.counters.buffers;
    for (const [given, text] of wrong) {
      const run = generate(model, { prompt: { classes: [3, 4] }, tokens: given! });
      await assert.rejects(run, (error) => error instanceof OptionError && text.test(error.message));
    }
    assert.equal(runtime.counters.buffers, before);
  });

  it('refuses lists of another number of images, and a line that does not end', async () => {
    const before = runtime.liveBytes;
    const one = generate(model, { prompt: { classes: [3, 4] }, tokens: [[0]] });
    await assert.rejects(one, /^OptionError: tokens: expected those of 2 images, one list each, got 1$/);
    const prompt: TextPrompt = { promptTokens: [[0, 120, 131, 117]] };
    const { lineLength, lineEnd } = lumina.grid(prompt);
    const first = new Array<number>(lineLength).fill(lumina.imageTokens.first);
    await assert.rejects(
      generate(lumina, { prompt, tokens: [first] }),
      new RegExp(`^OptionError: tokens\\[0\\]\\[${lineLength - 1}\\]: expected ${lineEnd}, which ends a line`),
    );
    assert.equal(runtime.liveBytes, before);
  });
});
