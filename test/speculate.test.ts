import assert from 'node:assert/strict';
import { planCache } from '../src/cache/policy.ts';
import { type GenerateOptions, generate } from '../src/generate.ts';
import type { ImageModel } from '../src/models/image-model.ts';
import type { LlamaGenPrompt } from '../src/models/llamagen/condition.ts';
import { openCondition, openRun } from '../src/open-run.ts';
import { resolveSampling, Sampler } from '../src/sampler.ts';
import { OptionError } from '../src/tensor/errors.ts';
import type { Runtime } from '../src/tensor/runtime.ts';
import { luminaConfig, openLumina, splitCheckpoint } from './support/chameleon.ts';
import { openGolden } from './support/golden.ts';
import { useTinyModel } from './support/use-tiny-model.ts';

const PROMPT = { classes: [3] };
const LINES = 8;

type Options = Partial<GenerateOptions<LlamaGenPrompt>>;

/** Kernels of the same constants throughout: compiling them takes longer than drawing. */
const SPECULATE = { speculate: { tokens: 3 } };
const LIKELIEST: Options = { guidanceScale: 2, temperature: 0 };
const ANY: Options = { guidanceScale: 2, topK: 20, temperature: 0.5 };

/** The likeliest and any, and sums of attention over a line, and over all that was drawn. */
const CASES: readonly (readonly [string, Options])[] = [
  ['the likeliest, everything remembered', LIKELIEST],
  [
    'of three images, with summaries, in int8',
    { ...ANY, prompt: { classes: [3, 5, 9] }, cache: { budgetLines: 4, kvDtype: 'int8' } },
  ],
  ['any, by the attention of the image', { ...ANY, cfgInterval: 30, cache: { policy: 'h2o', budgetLines: 4 } }],
];

describe('drafts', () => {
  let runtime: Runtime;
  let model: ImageModel<LlamaGenPrompt>;
  useTinyModel((opened) => {
    model = opened;
    runtime = opened.runtime;
  });

  const draw = (options: Options) => generate(model, { prompt: PROMPT, seed: 8, ...options });
  const tokens = async (options: Options) => (await draw(options)).map((image) => [...image.tokens]);

  for (const [name, options] of CASES) {
    it(`draw the sequential tokens: ${name}`, async () => {
      assert.deepEqual(await tokens({ ...options, ...SPECULATE }), await tokens(options));
    });
  }

  it('take a step for as many right drafts as are fed, none beyond the line, and make nothing after the first', async () => {
    const whole = await tokens(ANY);
    const made = () => {
      const { buffers, bindGroups, pipelines, submits } = runtime.counters;
      return { buffers, bindGroups, pipelines, submits };
    };
    const after: ReturnType<typeof made>[] = [];

    const again = await tokens({ ...ANY, tokens: whole, ...SPECULATE, onLine: () => void after.push(made()) });

    assert.deepEqual(again, whole);
    const [first, second] = [after[0]!, after.at(-1)!];
    assert.deepEqual({ ...second, submits: 0 }, { ...first, submits: 0 });
    assert.equal(second.submits - first.submits, (LINES - 1) * Math.ceil(8 / 3));
  });

  it('go on from tokens of a run without them as that run did', async () => {
    const options = { ...ANY, cache: { policy: 'snapkv', budgetLines: 4 } } as const;
    const whole = await tokens(options);

    const given = whole.map((image) => image.slice(0, 13));
    assert.deepEqual(await tokens({ ...options, tokens: given, ...SPECULATE }), whole);
  });

  it('end with the newline of a Lumina-mGPT, and are its sequential tokens', async () => {
    const { model: checkpoint, close } = await openGolden('chameleon');
    using lumina = await openLumina(runtime, splitCheckpoint(checkpoint), { config: luminaConfig() });
    const options = { prompt: { promptTokens: [[5, 6, 7]] }, seed: 8 };

    const [sequential] = await generate(lumina, options);
    const [drafted] = await generate(lumina, { ...options, speculate: { tokens: 3 } });

    assert.deepEqual(drafted!.tokens, sequential!.tokens);
    await close();
  });

  it('show whole lines as they end, and are given up with the reason of a signal', async () => {
    const live = runtime.liveBytes;
    const controller = new AbortController();
    const whole = await tokens(ANY);
    const lines: number[] = [];
    const drawing = draw({
      ...{ ...ANY, ...SPECULATE, signal: controller.signal },
      onLine: async ({ line, tokens: soFar, preview, retained }) => {
        lines.push(line);
        assert.deepEqual(
          (await soFar()).map((image) => [...image]),
          whole.map((image) => image.slice(0, 8 * line)),
        );
        assert.equal((await preview()).length, 1);
        const { fates } = await retained();
        assert.equal(fates.slice(0, 64).filter((fate) => fate === 3).length, 8 * line);
        if (line === 2) controller.abort(new Error('enough'));
      },
    });

    await assert.rejects(drawing, /enough/);
    assert.deepEqual([lines, runtime.liveBytes], [[1, 2], live]);
  });

  it('record two dispatches a step more, and with one token what is recorded without', async () => {
    const grid = model.grid(PROMPT);
    const sampling = resolveSampling({ guidanceScale: 2 }, model.defaults);
    const range = { ...grid, ...model.imageTokens };
    const listing = async (count: number) => {
      const condition = openCondition(model, PROMPT, true);
      const plans = [planCache({ budgetLines: 4 }, grid, { speculate: { tokens: count } })] as const;
      using run = await openRun(model, { condition, grid, plans }, (images) =>
        Sampler.open(runtime, images, { range, sampling }),
      );
      assert.equal(run.steps.length, 1);
      return run.step.listing();
    };
    const [one, six] = [await listing(1), await listing(6)];

    assert.equal(six.length, one.length + 2);
    assert.ok(one.every((line) => !line.includes('DRAFTS')));
  });

  it('are refused where they are none, more than a line, or beside lines in parallel, before anything is allocated', async () => {
    const wrong: readonly (readonly [Options, RegExp])[] = [
      [{ speculate: { tokens: 0 } }, /speculate\.tokens: expected a whole number from 1, got 0/],
      [{ speculate: { tokens: 2.5 } }, /speculate\.tokens: expected a whole number from 1, got 2\.5/],
      [{ speculate: { tokens: 9 } }, /speculate\.tokens: expected a whole number from 1 to 8, got 9/],
      [{ speculate: {} as never }, /speculate\.tokens: expected a whole number from 1/],
      [{ speculate: { tokens: 4 }, parallel: { window: 4 } }, /speculate: expected none beside parallel/],
    ];
    const before = runtime.counters.buffers;
    for (const [options, text] of wrong)
      await assert.rejects(draw(options), (error) => error instanceof OptionError && text.test(error.message));
    assert.equal(runtime.counters.buffers, before);
  });
});
