import assert from 'node:assert/strict';
import type { CacheOptions } from '../src/cache/policy.ts';
import { generate } from '../src/generate.ts';
import type { ImageModel } from '../src/models/image-model.ts';
import { type FamilyModel, modelDefinition } from '../src/models/registry.ts';
import { type PlanOptions, plan } from '../src/plan.ts';
import { Runtime } from '../src/tensor/runtime.ts';
import { luminaConfig, openLumina, splitCheckpoint } from './support/chameleon.ts';
import { openGolden } from './support/golden.ts';
import { goldenT5Config } from './support/golden-t5.ts';
import { janusConfig, openJanus } from './support/janus.ts';
import { tinyModel } from './support/tiny-model.ts';
import { tinyTextModel } from './support/tiny-text-model.ts';
import { goldenConfig } from './support/trace.ts';

const WORDS = { promptTokens: [[5, 6, 7], [8]] };

/** Full and few lines, with guidance and without. */
const RUNS: readonly (Pick<PlanOptions, 'parallel' | 'speculate'> & {
  readonly cache: CacheOptions;
  readonly guided: boolean;
})[] = [
  { cache: {}, guided: true },
  { cache: { policy: 'line-ar', budgetLines: 3 }, guided: true },
  { cache: { policy: 'line-ar', budgetLines: 3 }, guided: false },
  { cache: { policy: 'summary', budgetLines: 3, kvDtype: 'int8' }, guided: true },
  { cache: { policy: 'line-ar', budgetLines: 6 }, guided: true, parallel: { window: 3 } },
  { cache: { policy: 'line-ar', budgetLines: 3 }, guided: true, speculate: { tokens: 4 } },
];

describe('plan', () => {
  /** A run's bytes, from the first weight to the last pixel, on a device that computes nothing. */
  async function expectPlanned<Prompt>(
    model: FamilyModel,
    open: (runtime: Runtime) => Promise<ImageModel<Prompt>>,
    prompt: Prompt,
  ): Promise<void> {
    using runtime = await Runtime.open({ driver: 'null' });
    using loaded = await open(runtime);
    assert.deepEqual(loaded.geometry, modelDefinition(model).geometry, 'the plan is of the same model');
    for (const { cache, guided, ...steps } of RUNS) {
      const { totalBytes, ...parts } = await plan(model, {
        batch: 2,
        guided,
        cache,
        ...steps,
        dtype: 'f32',
        promptTokens: 3,
      });
      runtime.memory.peakBytes = 0;
      const onLine = ({ kvBytes }: { readonly kvBytes: number }) => assert.equal(kvBytes, parts.kvBytes);

      await generate(loaded, { prompt, cache, ...steps, guidanceScale: guided ? 2 : 1, onLine });

      const off = totalBytes / runtime.peakBytes - 1;
      const about = JSON.stringify({ off, took: runtime.peakBytes, totalBytes, ...parts, cache, guided, steps });
      assert.ok(Math.abs(off) < 0.02, about);
    }
  }

  it('says within 2 % what a run of a LlamaGen takes that draws classes', async () => {
    const config = goldenConfig('llamagen-c2i');
    await expectPlanned({ family: 'llamagen', config }, tinyModel, { classes: [3, 4] });
  });

  it('says it of one that draws from text, its encoder included', async () => {
    const { condition, ...rest } = goldenConfig('llamagen-t2i');
    assert.ok(condition.kind === 'caption');
    const config = { ...rest, condition: { ...condition, encoder: goldenT5Config() } };
    await expectPlanned({ family: 'llamagen', config }, (runtime) => tinyTextModel(runtime, {}), WORDS);
  });

  it('says it of a Janus-Pro', async () => {
    const golden = await openGolden('janus');
    const config = janusConfig();
    await expectPlanned({ family: 'janus', config }, (runtime) => openJanus(runtime, golden.model, { config }), WORDS);
    await golden.close();
  });

  it('says it of a Lumina-mGPT, whose lines have an end', async () => {
    const golden = await openGolden('chameleon');
    const config = luminaConfig();
    const open = (runtime: Runtime) => openLumina(runtime, splitCheckpoint(golden.model), { config });
    await expectPlanned({ family: 'chameleon', config }, open, WORDS);
    await golden.close();
  });
});
