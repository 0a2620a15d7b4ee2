import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { KvStore } from '../src/cache/kv-store.ts';
import { planCache } from '../src/cache/policy.ts';
import { resolveSampling, Sampler } from '../src/sampler.ts';
import { testRuntime } from './support/runtime.ts';
import { tinyModel } from './support/tiny-model.ts';

const FILE = 'test/golden/listing/tiny-step.txt';

describe('the listing of a step', () => {
  it('is the stored one, dispatch for dispatch, on software drivers', async function () {
    const runtime = await testRuntime();
    if (!runtime.isSoftware) this.skip(); // tiles are others on a GPU
    using model = await tinyModel(runtime);
    using condition = model.condition({ classes: [3] }, true);
    const sampling = resolveSampling({ guidanceScale: 2 }, model.defaults);
    using draw = new Sampler(
      runtime,
      condition.images,
      { ...model.grid({ classes: [3] }), ...model.imageTokens },
      sampling,
    );
    const { leftPadding, positionOffsets, promptLength, rows } = condition;
    const shape = {
      ...model.geometry,
      ...model.grid({ classes: [3] }),
      images: condition.images,
      leftPadding,
      positionOffsets,
      condition: promptLength,
      dtype: model.kvDtype,
    };
    using store = await KvStore.open(runtime, shape, planCache({ budgetLines: 4 }, model.grid({ classes: [3] })));

    using step = await runtime.record('step', () =>
      draw.next(model.logits(model.embed(draw.token, rows), store.decode, 1)),
    );

    const listing = `${step.listing().join('\n')}\n`;
    // to accept a change: RASTERLINE_ACCEPT=1 npm test, and read the diff
    if (process.env['RASTERLINE_ACCEPT']) writeFileSync(FILE, listing);
    assert.equal(listing, readFileSync(FILE, 'utf8'));
  });
});
