import assert from 'node:assert/strict';
import { concatRows } from '../../src/kernels/concat-rows.ts';
import { allocateTable, embedding, lastRows } from '../../src/kernels/embedding.ts';
import { linear } from '../../src/kernels/linear/linear.ts';
import { allocateLinear } from '../../src/kernels/linear/weight.ts';
import { rmsNorm } from '../../src/kernels/norm.ts';
import { Sampler } from '../../src/sampler.ts';
import { testRuntime } from '../support/runtime.ts';

/** What is drawn with in a second run: nothing of it is a constant of a kernel. */
const FIRST = { guidanceScale: 4, cfgInterval: -1, temperature: 1, topK: 20, topP: 0.9, seed: 0, firstImage: 0 };
const SECOND = { guidanceScale: 2.5, cfgInterval: 7, temperature: 0.7, topK: 5, topP: 0.8, seed: 9, firstImage: 3 };

describe('pipelines', () => {
  it('are made once for prompts of every length, batches of every size, and every way to sample', async () => {
    const runtime = await testRuntime();
    const weight = allocateLinear(runtime, { label: 'w', inputs: 32, outputs: 32, dtype: 'f32' });
    const table = allocateTable(runtime, { label: 'table', count: 32, width: 32, dtype: 'f32' });
    using gain = runtime.tensor([32], 'f32', 'gain');
    const run = async (images: number, tokens: number, sampling: typeof FIRST) => {
      using ids = runtime.tensor([images], 'u32', 'ids');
      using x = runtime.tensor([2 * images * tokens, 32], 'f32', 'x');
      using leftPadding = runtime.tensor([2 * images], 'u32', 'padding');
      const range = { first: 0, count: 32, lines: 4, lineLength: 4 };
      using draw = Sampler.open(runtime, images, { range, sampling });
      using _program = await runtime.record('step', () => {
        const normed = rmsNorm(x, { gain, epsilon: 1e-5, leftPadding }, 'norm');
        const last = lastRows(linear(concatRows([normed, x], 'both'), weight), 2 * tokens);
        return [draw.next(linear(last, weight)), embedding(ids, table, 2 * images)];
      });
    };
    await run(3, 7, FIRST);
    const before = runtime.counters.pipelines;

    await run(4, 11, SECOND);

    assert.equal(runtime.counters.pipelines, before);
    weight.dispose();
    table.dispose();
  });
});
