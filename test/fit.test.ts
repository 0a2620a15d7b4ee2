import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { CacheOptions } from '../src/cache/policy.ts';
import { generate } from '../src/generate.ts';
import { type FamilyModel, MODEL_NAMES } from '../src/models/registry.ts';
import { type PlanOptions, plan } from '../src/plan.ts';
import { DeviceError, OptionError } from '../src/tensor/errors.ts';
import { Runtime } from '../src/tensor/runtime.ts';
import { tinyModel } from './support/tiny-model.ts';
import { goldenConfig } from './support/trace.ts';

const TINY: FamilyModel = { family: 'llamagen', config: goldenConfig('llamagen-c2i') };

describe('what fits', () => {
  it('is accepted when it is planned, and one image more is not', async () => {
    const asked = fc.record({
      batch: fc.integer({ min: 1, max: 100_000 }),
      dtype: fc.constantFrom('f32', 'f16', 'int8', 'int4'),
      guided: fc.boolean(),
      cache: fc.constantFrom<CacheOptions>(
        {},
        { policy: 'full' },
        { budgetLines: 5 },
        { policy: 'line-ar', budgetLines: 9 },
      ),
      fit: fc.record({ maxBindingBytes: fc.integer({ min: 2 ** 20, max: 2 ** 31 }) }),
    });
    // of which one image takes that share, as asked for
    const share = fc.double({ min: 0.1, max: 50, noNaN: true });
    const proposes = async (name: string, given: PlanOptions, share: number) => {
      const one = (await plan(name, { ...given, batch: 1 })).totalBytes;
      const options = { ...given, memoryBytes: Math.ceil(one * share) };
      const { fit } = await plan(name, options);
      if (!fit.options) return assert.ok(fit.lacks.length > 0);
      const { batch } = fit.options;
      const again = async (batch: number) => (await plan(name, { ...options, ...fit.options, batch })).fit.lacks;
      assert.deepEqual(await again(batch), []);
      assert.ok(batch <= given.batch!);
      if (batch < given.batch!) assert.notDeepEqual(await again(batch + 1), []);
      const { dtype, cache } = given;
      if (fit.lacks.length === 0) assert.deepEqual(fit.options, { batch: given.batch, dtype, cache });
      else assert.notDeepEqual(fit.options, { batch: given.batch, dtype, cache });
    };
    await fc.assert(fc.asyncProperty(fc.constantFrom(...MODEL_NAMES), asked, share, proposes), { numRuns: 40 });
  });

  it('takes fewer images first, then keys and values in 8 bits, then smaller weights, then fewer lines', async () => {
    const model = 'janus-pro-7b';
    const bytes = async (options: PlanOptions) => (await plan(model, options)).totalBytes;
    const proposed = async (memoryBytes: number) => (await plan(model, { batch: 4, memoryBytes })).fit;
    const [three, keys, small, lines] = [
      await bytes({ batch: 3 }),
      await bytes({ cache: { kvDtype: 'int8' } }),
      await bytes({ dtype: 'int8', cache: { kvDtype: 'int8' } }),
      await bytes({ dtype: 'int4', cache: { budgetLines: 20, kvDtype: 'int8' } }),
    ];
    const lacks = ['memory'];
    assert.deepEqual(await proposed(three), { lacks, options: { batch: 3, dtype: 'f16', cache: {} } });
    const cache: CacheOptions = { kvDtype: 'int8' };
    assert.deepEqual(await proposed(keys), { lacks, options: { batch: 1, dtype: 'f16', cache } });
    assert.deepEqual(await proposed(small), { lacks, options: { batch: 1, dtype: 'int8', cache } });
    assert.deepEqual(await proposed(lines), {
      lacks,
      options: { batch: 1, dtype: 'int4', cache: { ...cache, budgetLines: 20 } },
    });
    assert.deepEqual(await proposed(1), { lacks, options: undefined });
    await assert.rejects(plan(model, { fit: {} as never }), OptionError);
  });

  it('in one binding is what a run needs there, no more and no less', async () => {
    for (const { batch, budgetLines } of [
      { batch: 1, budgetLines: 3 },
      { batch: 40, budgetLines: 8 },
    ]) {
      const cache: CacheOptions = { policy: 'line-ar', budgetLines };
      for (const maxBindingBytes of LIMITS) {
        using runtime = await Runtime.open({ driver: 'null', maxBindingBytes });
        const draw = async () => {
          using model = await tinyModel(runtime);
          await generate(model, { prompt: { classes: Array(batch).fill(3) }, cache, guidanceScale: 2 });
        };
        const { fit, bindingBytes } = await plan(TINY, { batch, cache, dtype: 'f32', fit: runtime });
        const about = `${batch} images, ${maxBindingBytes} bytes of ${bindingBytes}`;
        if (fit.lacks.length === 0) await draw();
        else await assert.rejects(draw(), DeviceError, about);
      }
    }
  });
});

/** Where a tiny model begins to fit, and on both sides of that. */
const LIMITS = [8, 16, 32, 64, 90, 128, 256].map((kibibytes) => kibibytes * 1024);
