import assert from 'node:assert/strict';
import fc from 'fast-check';
import { generate } from '../src/generate.ts';
import type { GeneratedImage } from '../src/generated-image.ts';
import { loadModel } from '../src/models/load-model.ts';
import { plan } from '../src/plan.ts';
import { generateInRuns, imagesThatFit, optionsOf, runsOf } from '../src/runs.ts';
import { DecodeError, OptionError, OutOfMemoryError } from '../src/tensor/errors.ts';
import { Runtime } from '../src/tensor/runtime.ts';
import { failingDevice } from './support/failing-device.ts';
import { testRuntime } from './support/runtime.ts';
import { tinyModel } from './support/tiny-model.ts';

describe('images in several runs', () => {
  it('are those of one run', async () => {
    using model = await tinyModel(await testRuntime());
    const tokens = [
      [1, 2],
      [3, 4],
      [5, 6],
    ];
    const options = { prompt: { classes: [3, 5, 1] }, seed: [8, 1, 8], firstImage: 4, tokens };
    const parts: GeneratedImage[][] = [];
    for await (const images of generateInRuns(model, options, 2)) parts.push(images);
    assert.deepEqual(
      parts.map((images) => images.length),
      [2, 1],
    );
    assert.deepEqual(parts.flat(), await generate(model, options));
  });

  it('are all there once, in order, in runs of at most so many', () => {
    fc.assert(
      fc.property(fc.nat(60), fc.integer({ min: 1, max: 20 }), fc.nat(70), (images, atOnce, first) => {
        const runs = runsOf(images, atOnce, first);
        assert.deepEqual(runs.flat(), Array.from({ length: images }, (_, i) => i).slice(first));
        for (const run of runs) assert.ok(run.length >= 1 && run.length <= atOnce);
        for (const run of runs.slice(0, -1)) assert.equal(run.length, atOnce);
      }),
    );
    assert.throws(() => runsOf(3, 0), OptionError);
  });

  it('keep what is said of all of them, and each its own', () => {
    const options = { prompt: { prompts: ['a', 'b', 'c'], width: 64 }, seed: 7, firstImage: [4, 9, 2], topK: 3 };
    assert.deepEqual(optionsOf(options, [2, 0]), {
      ...options,
      prompt: { prompts: ['c', 'a'], width: 64 },
      firstImage: [2, 4],
    });
  });
});

describe('images that fit', () => {
  it('are as many as the plan says, and one more does not', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 200 }),
        fc.double({ min: 1, max: 100, noNaN: true }),
        async (wanted, share) => {
          const memoryBytes = Math.floor((await plan('emoji', { batch: 1 })).totalBytes * share);
          const fits = await imagesThatFit('emoji', wanted, { memoryBytes });
          assert.ok(fits >= 1 && fits <= wanted);
          assert.ok((await plan('emoji', { batch: fits })).totalBytes <= memoryBytes);
          if (fits < wanted) assert.ok((await plan('emoji', { batch: fits + 1 })).totalBytes > memoryBytes);
        },
      ),
      { numRuns: 30 },
    );
    await assert.rejects(
      imagesThatFit('emoji', 3, { memoryBytes: 1000 }),
      /memoryBytes: expected at least \d+, which one image/,
    );
  });

  it('are told where a device refuses the memory for more, and are no more than it gave', async () => {
    using host = await Runtime.open({ driver: 'null' });
    const { device, failNext, heal } = failingDevice(host.device);
    using runtime = await Runtime.open({ device });
    using model = await loadModel(runtime, 'emoji');
    const before = runtime.liveBytes;
    const told = new Set<string>();
    for (let buffers = 20; ; buffers++) {
      failNext(buffers, 'throws');
      const run = generateInRuns(model, { prompt: { classes: new Array<number>(30).fill(1) } }, 30).next();
      const error = await run.then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      heal();
      assert.equal(runtime.liveBytes, before);
      if (error === undefined || error instanceof DecodeError) break; // the run had all its memory
      assert.ok(error instanceof OutOfMemoryError, String(error));
      const [, fits] =
        /what it gave holds (not even one image|\d+ images at once), by a plan$/.exec(error.message) ?? [];
      assert.ok(fits, error.message);
      told.add(fits);
      const images = Number.parseInt(fits, 10) || 0;
      const gave = error.heldBytes - before;
      const needed = async (batch: number) => {
        const { totalBytes, weightBytes } = await plan('emoji', { batch });
        return totalBytes - weightBytes;
      };
      if (images > 0) assert.ok((await needed(images)) <= gave);
      if (images < 29) assert.ok((await needed(images + 1)) > gave);
    }
    assert.ok(told.size > 1, [...told].join());
  });
});
