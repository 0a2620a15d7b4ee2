import assert from 'node:assert/strict';
import { planCache } from '../src/cache/policy.ts';
import { lanesAt, linesInFlight, mostLanes, stepsOf } from '../src/cache/wavefront.ts';
import { type GenerateOptions, generate } from '../src/generate.ts';
import { traceLogits } from '../src/logit-divergence.ts';
import type { ImageModel } from '../src/models/image-model.ts';
import type { LlamaGenPrompt } from '../src/models/llamagen/condition.ts';
import { openCondition, openRun } from '../src/open-run.ts';
import { resolveSampling, Sampler } from '../src/sampler.ts';
import { OptionError } from '../src/tensor/errors.ts';
import type { Runtime } from '../src/tensor/runtime.ts';
import { luminaConfig, openLumina, splitCheckpoint } from './support/chameleon.ts';
import { openGolden } from './support/golden.ts';
import { useTinyModel } from './support/use-tiny-model.ts';

const PROMPT = { classes: [3, 5] };
const WAVE = { lines: 8, lineLength: 8, window: 3, hasLineEnd: false };

describe('lines in parallel', () => {
  let runtime: Runtime;
  let model: ImageModel<LlamaGenPrompt>;
  useTinyModel((opened) => {
    model = opened;
    runtime = opened.runtime;
  });

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
      const plans = [
        planCache({ budgetLines: 4 }, grid, window === undefined ? {} : { parallel: { window } }),
      ] as const;
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

  it('see of older lines what the window lets them, and nothing of newer ones', async () => {
    const { lines: side, window } = WAVE;
    const changed = [5, 15, 34]; // of images 1, 2 and 3; image 0 is as it was
    const base = Array.from({ length: side * side }, (_, place) => (37 * place + 11) % 256);
    const fed = base.map((id, place) => Uint32Array.from([-1, ...changed], (at) => (at === place ? id ^ 1 : id)));

    const prompt = { classes: [3, 3, 3, 3] };
    const { logits } = await traceLogits(model, { prompt, lines: side, window, tokens: fed });

    const rows = logits.map((all) => [0, 1, 2, 3].map((image) => all.slice(image * 256, (image + 1) * 256)));
    for (const [i, at] of changed.entries()) {
      // what is fed, by the place that it is of, with all that is behind it
      const reached = new Set<number>();
      const seen = (line: number, columns: number) =>
        Array.from({ length: line + 1 }, (_, above) => ({ above, until: columns + (line - above) * window })).flatMap(
          ({ above, until }) => Array.from({ length: Math.min(until, side) }, (_, c) => above * side + c),
        );
      for (let step = 1; step <= side + (side - 1) * window; step++) {
        for (let line = 0; line < side; line++) {
          const columns = step - line * window; // of this line fed with this step
          const place = line * side + columns - 1;
          if (columns >= 1 && columns <= side && (place === at || seen(line, columns).some((s) => reached.has(s))))
            reached.add(place);
        }
      }
      for (let place = 1; place < side * side; place++) {
        const [line, column] = [Math.floor(place / side), place % side];
        const before = seen(line, column);
        const standIn = lanesAt(WAVE, line * window).find(({ draws }) => draws === place)?.source;
        const sees = before.some((s) => reached.has(s)) || (column === 0 && standIn === at);
        const about = `place ${place} after a change at ${at}`;
        if (!sees) assert.deepEqual(rows[place]![i + 1], rows[place]![0], about);
        else if (before.includes(at)) assert.notDeepEqual(rows[place]![i + 1], rows[place]![0], about);
      }
    }
  });

  it('are given up with the reason of a signal, and keep nothing', async () => {
    const live = runtime.liveBytes;
    const controller = new AbortController();
    const lines: number[] = [];
    const drawing = draw({
      ...{ parallel: { window: 4 }, signal: controller.signal },
      onLine: async ({ line, preview }) => {
        assert.equal((await preview()).length, 2);
        lines.push(line);
        if (line === 2) controller.abort(new Error('enough'));
      },
    });

    await assert.rejects(drawing, /enough/);
    assert.deepEqual([lines, runtime.liveBytes], [[1, 2], live]);
  });

  it('end with the newline of a Lumina-mGPT, every one', async () => {
    const { model: checkpoint, close } = await openGolden('chameleon');
    const config = luminaConfig();
    using lumina = await openLumina(runtime, splitCheckpoint(checkpoint), { config });
    const prompt = { promptTokens: [[5, 6, 7]] };
    const { lines, lineLength, lineEnd } = lumina.grid(prompt);
    const { first, count } = lumina.imageTokens;

    const [image] = await generate(lumina, { prompt, seed: 8, parallel: { window: lineLength - 1 } });

    assert.equal(image!.tokens.length, lines * lineLength);
    for (const [place, id] of image!.tokens.entries()) {
      if ((place + 1) % lineLength === 0) assert.equal(id, lineEnd);
      else assert.ok(id >= first && id < first + count, `place ${place}: ${id}`);
    }
    await close();
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
