import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { planCache } from '../src/cache/policy.ts';
import { openCondition, openRun } from '../src/open-run.ts';
import { resolveSampling, Sampler } from '../src/sampler.ts';
import { testRuntime } from './support/runtime.ts';
import { tinyModel } from './support/tiny-model.ts';

const FILE = 'test/golden/listing/tiny-step.txt';

describe('the listing of a step', () => {
  it('is the stored one, dispatch for dispatch, on SwiftShader', async function () {
    const runtime = await testRuntime();
    if (runtime.kind !== 'swiftshader') this.skip(); // tiles follow the adapter's subgroups
    using model = await tinyModel(runtime);
    const sampling = resolveSampling({ guidanceScale: 2 }, model.defaults);
    const grid = model.grid({ classes: [3] });
    const condition = openCondition(model, { classes: [3] }, true);
    const options = { condition, grid, plans: [planCache({ budgetLines: 4 }, grid)] } as const;
    const range = { ...grid, ...model.imageTokens };

    using run = await openRun(model, options, (images) => Sampler.open(runtime, images, { range, sampling }));

    const listing = `${run.step.listing().join('\n')}\n`;
    // to accept a change: RASTERLINE_ACCEPT=1 npm test, and read the diff
    if (process.env.RASTERLINE_ACCEPT) writeFileSync(FILE, listing);
    assert.equal(listing, readFileSync(FILE, 'utf8'));
  });
});
