import assert from 'node:assert/strict';
import fc from 'fast-check';
import { LANES, packBlock } from '../../../src/kernels/linear/weight.ts';
import { loadWeights } from '../../../src/models/weights/load-weights.ts';
import { matrixBlocks } from '../../../src/models/weights/matrix-blocks.ts';
import { type MatrixSpec, matrix } from '../../../src/models/weights/weight-spec.ts';
import { Weights } from '../../../src/tensor/checkpoint/weights.ts';
import { FormatError } from '../../../src/tensor/errors.ts';
import { randomValues } from '../../support/random.ts';
import { testRuntime } from '../../support/runtime.ts';
import { valueCheckpoint } from '../../support/value-checkpoint.ts';

async function blocksOf(weights: Weights, spec: MatrixSpec) {
  const blocks = [];
  for await (const block of matrixBlocks(weights, spec)) blocks.push(block);
  return blocks;
}

describe('blocks of a checkpoint', () => {
  it('are those of the stacked matrices, and name the tensors that each is of', async () => {
    const heights = fc.array(fc.constantFrom(1, 31, 32, 33, 70), { minLength: 1, maxLength: 4 });
    const property = fc.asyncProperty(heights, fc.constantFrom(4, 12), fc.nat(), async (sizes, inputs, seed) => {
      const names = sizes.map((_, i) => `m${i}`);
      const matrices = sizes.map((size, i) => randomValues(seed + i, size * inputs));
      const outputs = sizes.reduce((sum, size) => sum + size, 0);
      const tensors = Object.fromEntries(
        names.map((name, i) => [name, { shape: [sizes[i]!, inputs], values: matrices[i]! }]),
      );
      const all = Float32Array.from(matrices.flatMap((matrix) => [...matrix]));
      const owners = sizes.flatMap((size, i) => Array.from({ length: size }, () => names[i]!));

      const blocks = await blocksOf(
        new Weights(valueCheckpoint('file', tensors)),
        matrix({ name: names, heights: sizes, inputs, outputs }),
      );

      assert.equal(blocks.length, Math.ceil(outputs / LANES));
      for (const [i, block] of blocks.entries()) {
        const rows = all.subarray(i * LANES * inputs, (i + 1) * LANES * inputs);
        const of = new Set(owners.slice(i * LANES, (i + 1) * LANES));
        assert.deepEqual(
          { ...block },
          {
            index: i,
            outputs: rows.length / inputs,
            values: packBlock(rows, inputs),
            place: `file: ${[...of].join(', ')}`,
          },
        );
      }
    });
    await fc.assert(property, { numRuns: 60 });
  });

  it('name, when one cannot be quantized, the very matrix that holds it, and keep no memory', async () => {
    const runtime = await testRuntime();
    for (const wrong of [Number.NaN, Number.NEGATIVE_INFINITY, 1e9]) {
      for (const bad of ['gate', 'up', 'norm']) {
        const values = (name: string, count: number) =>
          randomValues(1, count).map((v, i) => (name === bad && i === 5 ? wrong : v));
        const made = (name: string) => ({ shape: [40, 16], values: values(name, 640) });
        const tensors = { gate: made('gate'), up: made('up'), norm: { shape: [16], values: values('norm', 16) } };
        const before = runtime.liveBytes;
        const tree = matrix({ name: 'gate', up: 'up', gain: 'norm', inputs: 16, outputs: 40 });

        const load = loadWeights(runtime, tree, { checkpoint: valueCheckpoint('file', tensors), dtype: 'int4' });

        const named = bad === 'up' ? 'up, norm' : 'gate, norm';
        await assert.rejects(
          load,
          (error) => error instanceof FormatError && error.message.startsWith(`file: ${named}: expected finite`),
        );
        assert.equal(runtime.liveBytes, before);
      }
    }
  });
});
