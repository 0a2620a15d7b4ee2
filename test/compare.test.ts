import assert from 'node:assert/strict';
import { type Comparison, compare } from '../src/compare.ts';
import { divergence } from '../src/kernels/divergence.ts';
import { keepLogits } from '../src/kernels/keep-logits.ts';
import { logitDivergence, traceLogits } from '../src/logit-divergence.ts';
import { OptionError } from '../src/tensor/errors.ts';
import { randomValues } from './support/random.ts';
import { testRuntime } from './support/runtime.ts';
import { tinyModel } from './support/tiny-model.ts';

describe('divergence', () => {
  it('is KL, the same choice and both bits of the token, of guided logits at a temperature, a place a call', async () => {
    const runtime = await testRuntime();
    const [images, vocabulary, guidanceScale, temperature, first] = [3, 71, 2.5, 0.4, 5];
    const values = [1, 2].map((seed) => randomValues(seed, 2 * images * vocabulary));
    const fed = [3, 70, 0];
    using reference = runtime.tensor([2 * images, vocabulary], 'f32', 'reference', values[0]);
    using other = runtime.tensor([2 * images, vocabulary], 'f32', 'other', values[1]);
    using token = runtime.tensor(
      [images],
      'u32',
      'token',
      Uint32Array.from(fed, (id) => id + first),
    );
    using sums = runtime.tensor([images, 2, 4], 'f32', 'sums');
    using calls = runtime.tensor([images], 'u32', 'calls');
    using program = await runtime.record('divergence', () =>
      divergence({ reference, other, token, first, sums, calls, guidanceScale, temperature }),
    );

    program.run();
    other.write(values[0]!);
    program.run();

    const actual = await sums.read();
    const logits = (all: Float32Array, image: number) =>
      Array.from({ length: vocabulary }, (_, v) => {
        const uncond = all[(images + image) * vocabulary + v]!;
        return (uncond + (all[image * vocabulary + v]! - uncond) * guidanceScale) / temperature;
      });
    for (let image = 0; image < images; image++) {
      const [p, q] = values.map((all) => logSoftmax(logits(all, image))) as [number[], number[]];
      const kl = p.reduce((sum, lp, v) => sum + Math.exp(lp) * (lp - q[v]!), 0);
      const largest = (all: number[]) => all.indexOf(Math.max(...all));
      const expected = [
        kl,
        Number(largest(p) === largest(q)),
        -p[fed[image]!]! / Math.LN2,
        -q[fed[image]!]! / Math.LN2,
        0,
        1,
        -p[fed[image]!]! / Math.LN2,
        -p[fed[image]!]! / Math.LN2,
      ];
      // exponents up to 3.5 · 2 / 0.4, rounded a few times; sums of 71 terms
      for (const [i, value] of expected.entries())
        assert.ok(
          Math.abs(actual[8 * image + i]! - value) < 1e-4,
          `image ${image}, ${i}: ${actual[8 * image + i]} for ${value}`,
        );
    }
  });

  it('is the same at several places of an image at once, of logits kept one place after another', async () => {
    const runtime = await testRuntime();
    const [images, lanes, vocabulary, guidanceScale, temperature] = [2, 2, 37, 2, 0.5];
    const all = [1, 2, 3].map((seed) => randomValues(seed, 2 * images * vocabulary));
    const values = randomValues(4, 2 * images * lanes * vocabulary);
    const places = [2, 9, 0, 1]; // 9: none
    const fed = Uint32Array.from([0, 1, 2, 3, 4, 5]);
    using logits = runtime.tensor([2 * images, vocabulary], 'f32', 'logits');
    using reference = runtime.tensor([3, 2 * images, vocabulary], 'f32', 'reference');
    using calls = runtime.tensor([images], 'u32', 'calls');
    using keep = await runtime.record('keep', () => keepLogits(logits, reference, calls));
    using other = runtime.tensor([2 * images * lanes, vocabulary], 'f32', 'other', values);
    using kept = runtime.tensor([images * lanes], 'u32', 'places', Uint32Array.from(places));
    using token = runtime.tensor([images, 3], 'u32', 'tokens', fed);
    using sums = runtime.tensor([images, 3, 4], 'f32', 'sums');
    using program = await runtime.record('divergence', () =>
      divergence({ reference, other, token, kept, first: 0, sums, calls, guidanceScale, temperature }),
    );

    for (const one of all) {
      logits.write(one);
      keep.run();
    }
    program.run();

    const actual = await sums.read();
    const guided = (of: Float32Array, row: number, without: number) =>
      Array.from({ length: vocabulary }, (_, v) => {
        const uncond = of[without * vocabulary + v]!;
        return (uncond + (of[row * vocabulary + v]! - uncond) * guidanceScale) / temperature;
      });
    const expected = new Float32Array(images * 3 * 4);
    for (const [own, place] of places.entries()) {
      const image = Math.floor(own / lanes);
      if (place >= 3) continue;
      const p = logSoftmax(guided(all[place]!, image, images + image));
      const q = logSoftmax(guided(values, own, images * lanes + own));
      const at = image * 3 + place;
      const largest = (of: number[]) => of.indexOf(Math.max(...of));
      expected.set(
        [
          p.reduce((sum, l, v) => sum + Math.exp(l) * (l - q[v]!), 0),
          Number(largest(p) === largest(q)),
          -p[fed[at]!]! / Math.LN2,
          -q[fed[at]!]! / Math.LN2,
        ],
        4 * at,
      );
    }
    for (const [i, value] of expected.entries()) assert.ok(Math.abs(actual[i]! - value) < 1e-4, `${i}: ${actual[i]}`);
  });
});

describe('compare', () => {
  it('finds nothing lost where all lines are kept, and something where few are', async () => {
    const runtime = await testRuntime();
    using model = await tinyModel(runtime);
    const live = runtime.liveBytes;

    const progress: number[] = [];

    const { full, settings } = await compare(model, {
      prompt: { classes: [3, 5] },
      onProgress: (done, total) => progress.push(done / total),
      settings: [
        { policy: 'line-ar', budgetLines: 8 },
        { policy: 'summary', budgetLines: 4 },
      ],
    });

    const [all, few] = settings as [(typeof settings)[0], (typeof settings)[0]];
    assert.deepEqual([all.divergence, all.sameChoice, all.freeAgreement], [0, 1, 1]);
    assert.deepEqual(
      all.images.map(({ tokens }) => tokens),
      full.images.map(({ tokens }) => tokens),
    );
    assert.deepEqual([all.bitsPerToken, all.kvBytes, all.evictionShare], [full.bitsPerToken, full.kvBytes, 0]);
    assert.deepEqual(few.byLine.slice(0, 4), [0, 0, 0, 0]);
    assert.ok(few.bitsPerToken > full.bitsPerToken && few.evictionShare > 0);
    assert.deepEqual(
      progress,
      Array.from({ length: 40 }, (_, line) => (line + 1) / 40),
    );
    assert.ok(few.divergence > 0 && few.sameChoice < 1 && few.kvBytes < all.kvBytes);
    assert.equal(runtime.liveBytes, live);
  });

  it('compares lines in parallel with one line after another', async () => {
    const runtime = await testRuntime();
    using model = await tinyModel(runtime);
    const live = runtime.liveBytes;
    const prompt = { classes: [3] };
    const one = await traceLogits(model, { prompt, lines: 8 });
    const window4 = await traceLogits(model, { prompt, lines: 8, window: 4, tokens: one.tokens });
    const expected = one.logits.map((row, place) => klOfRows(row, window4.logits[place]!, 1));
    const byLine = Array.from({ length: 8 }, (_, line) => mean(expected.slice(8 * line, 8 * line + 8)));
    let done = 0;

    const { settings } = await compare(model, {
      ...{ prompt, guidanceScale: 1, temperature: 1 },
      settings: [{ parallel: { window: 4 } }],
      onProgress: () => done++,
    });

    const [parallel] = settings as [Comparison];
    // sums of 256 terms, of logits below 8 whose sums are in another order
    for (const [line, kl] of byLine.entries()) assert.ok(Math.abs(parallel.byLine[line]! - kl) < 1e-4, `line ${line}`);
    assert.equal(parallel.sameChoice, logitDivergence(one, window4).sameChoice);
    assert.ok(parallel.divergence > 0);
    assert.equal(done, 4 * 8);
    assert.equal(runtime.liveBytes, live);
  });

  it('refuses bad options by name', async () => {
    using model = await tinyModel(await testRuntime());
    const prompt = { classes: [3] };
    const wrong = [
      [{ prompt, settings: [] }, /settings: expected/],
      [{ prompt, settings: [{ budgetLines: 1 }] }, /cache\.budgetLines: expected/],
      [{ prompt, settings: [{ parallel: { window: 0 } }] }, /parallel\.window: expected a whole number from 1, got 0/],
      [
        { prompt, settings: [{ parallel: { window: 9 } }] },
        /parallel\.window: expected a whole number from 1 to 8, got 9/,
      ],
      [{ prompt, settings: [{ budgetLines: 3, parallel: { window: 4 } }] }, /budgetLines: expected at least 4/],
      [{ prompt, settings: [{ budgetLines: 4 }], temperature: 0 }, /temperature: expected/],
      [
        { prompt, settings: [{ budgetLines: 4 }], tokens: [[256]] },
        /tokens\[0\]\[0\]: expected a whole number from 0 to 255/,
      ],
      [
        { prompt, settings: [{ budgetLines: 4 }], tokens: [Array(65).fill(0)] },
        /tokens\[0\]: expected at most 64, got 65/,
      ],
    ] as const;
    for (const [options, message] of wrong)
      await assert.rejects(
        compare(model, options),
        (error) => error instanceof OptionError && message.test(error.message),
      );
  });
});

function logSoftmax(values: readonly number[]): number[] {
  const most = Math.max(...values);
  const total = Math.log(values.reduce((sum, value) => sum + Math.exp(value - most), 0));
  return values.map((value) => value - most - total);
}

/** Mean over rows of KL(p ‖ q), of logits [rows, V]. */
function klOfRows(p: Float32Array, q: Float32Array, rows: number): number {
  const width = p.length / rows;
  return mean(
    Array.from({ length: rows }, (_, row) => {
      const [a, b] = [p, q].map((all) => logSoftmax([...all.subarray(row * width, (row + 1) * width)]));
      return a!.reduce((sum, l, v) => sum + Math.exp(l) * (l - b![v]!), 0);
    }),
  );
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
