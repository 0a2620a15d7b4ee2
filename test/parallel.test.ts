import assert from 'node:assert/strict';
import { planCache } from '../src/cache/policy.ts';
import { linesInFlight, mostLanes, stepsOf } from '../src/cache/wavefront.ts';
import { type GenerateOptions, generate } from '../src/generate.ts';
import type { ImageModel } from '../src/models/image-model.ts';
import type { LlamaGenPrompt } from '../src/models/llamagen/condition.ts';
import { openCondition, openRun } from '../src/open-run.ts';
import { resolveSampling, Sampler } from '../src/sampler.ts';
import { OptionError } from '../src/tensor/errors.ts';
import type { Runtime } from '../src/tensor/runtime.ts';
import { testRuntime } from './support/runtime.ts';
import { tinyModel } from './support/tiny-model.ts';

const PROMPT = { classes: [3, 5] };

describe('lines in parallel', () => {
  let runtime: Runtime;
  let model: ImageModel<LlamaGenPrompt>;
  before(async () => {
    runtime = await testRuntime();
    model = await tinyModel(runtime);
  });
  after(() => model.dispose());

  const draw = (options: Partial<GenerateOptions<LlamaGenPrompt>>) =>
    generate(model, { prompt: PROMPT, seed: 8, topK: 40, ...options });
  const tokens = async (options: Partial<GenerateOptions<LlamaGenPrompt>>) =>
    (await draw(options)).map((image) => [...image.tokens]);

  it('take as many steps as a line, and a window for each line more', () => {
    const steps = (side: number, window: number) =>
      stepsOf({ lines: side, lineLength: side, window, hasLineEnd: false });
    assert.deepEqual([steps(16, 8), steps(16, 4), steps(24, 8), steps(24, 4)], [136, 76, 208, 116]);
    assert.equal(steps(16, 16), 256);
  });

  it('record, with a window of a whole line, what is recorded without, and draw the same', async () => {
    const grid = model.grid(PROMPT);
    const sampling = resolveSampling({ guidanceScale: 2 }, model.defaults);
    const range = { ...grid, ...model.imageTokens };
    const listings = async (window?: number) => {
      const condition = openCondition(model, PROMPT, true);
      const plans = [planCache({ budgetLines: 4 }, grid, window)] as const;
      using run = await openRun(model, { condition, grid, plans }, (images) =>
        Sampler.open(runtime, images, { range, sampling }),
      );
      return run.steps.map((step) => step.listing());
    };
    const [alone = []] = await listings();

    assert.deepEqual(await listings(8), [alone]);

    const several = await listings(4);
    const wave = { ...grid, window: 4, hasLineEnd: false };
    assert.deepEqual([several.length, linesInFlight(wave)], [mostLanes(wave), 2]);
    for (const listing of several) assert.ok(listing.length <= alone.length + 2, `${listing.length} dispatches`);
    assert.deepEqual(await tokens({ parallel: { window: 8 } }), await tokens({}));
  });

  it('submit once a step, and make nothing after the first line', async () => {
    const made = () => {
      const { buffers, bindGroups, pipelines, submits } = runtime.counters;
      return { buffers, bindGroups, pipelines, submits };
    };
    const after: ReturnType<typeof made>[] = [];
    await draw({ parallel: { window: 4 }, cache: { budgetLines: 4 }, onLine: () => void after.push(made()) });

    const [first, second] = [after[0]!, after.at(-1)!];
    assert.deepEqual({ ...second, submits: 0 }, { ...first, submits: 0 });
    assert.equal(second.submits - first.submits, 7 * 4);
  });

  it('go on from tokens of a run as that run did, and do not depend on the batch', async () => {
    const options = { parallel: { window: 3 }, cache: { budgetLines: 6 }, guidanceScale: 2, cfgInterval: 30 };
    const whole = await tokens(options);

    const given = whole.map((image) => image.slice(0, 29));
    assert.deepEqual(await tokens({ ...options, tokens: given }), whole);
    const [second] = await tokens({ ...options, prompt: { classes: [5] }, firstImage: 1 });
    assert.deepEqual(second, whole[1]);
    assert.notDeepEqual(whole, await tokens({ ...options, parallel: { window: 8 } }));
  });

  it('show whole lines as they end', async () => {
    const seen: number[][] = [];
    const [image] = await draw({
      parallel: { window: 4 },
      onLine: async ({ line, tokens: soFar, retained }) => {
        seen.push([...(await soFar())[0]!]);
        const { fates } = await retained();
        assert.equal(fates.slice(0, 8 * line - 1).filter((fate) => fate === 3).length, 8 * line - 1);
      },
    });

    assert.deepEqual(
      seen,
      Array.from({ length: 8 }, (_, line) => [...image!.tokens.slice(0, 8 * (line + 1))]),
    );
  });

  it('refuse windows that are none, and budgets that the lines in flight do not fit, before anything is allocated', async () => {
    const wrong: readonly (readonly [Partial<GenerateOptions<LlamaGenPrompt>>, RegExp])[] = [
      [{ parallel: { window: 0 } }, /parallel\.window: expected a whole number from 1, got 0/],
      [{ parallel: { window: 2.5 } }, /parallel\.window: expected a whole number from 1, got 2\.5/],
      [{ parallel: { window: 9 } }, /parallel\.window: expected a whole number from 1 to 8, got 9/],
      [{ parallel: {} as never }, /parallel\.window: expected a whole number from 1/],
      [
        { parallel: { window: 3 }, cache: { budgetLines: 4 } },
        /budgetLines: expected at least 5 \(1 for anchors \+ 1 recent \+ 3 being drawn\), got 4; window 3 of 8 columns needs at least 5 lines/,
      ],
    ];
    const before = runtime.counters.buffers;
    for (const [options, text] of wrong)
      await assert.rejects(draw(options), (error) => error instanceof OptionError && text.test(error.message));
    assert.equal(runtime.counters.buffers, before);
  });
});
