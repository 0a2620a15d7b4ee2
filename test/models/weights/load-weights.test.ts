import assert from 'node:assert/strict';
import fc from 'fast-check';
import { linear } from '../../../src/kernels/linear/linear.ts';
import { loadWeights } from '../../../src/models/weights/load-weights.ts';
import { expectFit, storedShapes } from '../../../src/models/weights/stored-shapes.ts';
import { convolution, matrix, table } from '../../../src/models/weights/weight-spec.ts';
import { FormatError } from '../../../src/tensor/errors.ts';
import { count } from '../../../src/tensor/shape.ts';
import { linearOracle } from '../../oracle/linear.ts';
import { close } from '../../support/close.ts';
import { memoryCheckpoint } from '../../support/memory-checkpoint.ts';
import { randomValues } from '../../support/random.ts';
import { compute, testRuntime } from '../../support/runtime.ts';

interface Case {
  /** Outputs of each matrix: around the blocks of 32. */
  readonly heights: readonly number[];
  readonly inputs: number;
  readonly hasGain: boolean;
  readonly hasBias: boolean;
  readonly seed: number;
}

const cases: fc.Arbitrary<Case> = fc.record({
  heights: fc.array(fc.oneof(fc.constantFrom(1, 16, 31, 32, 33, 64), fc.integer({ min: 1, max: 70 })), {
    minLength: 1,
    maxLength: 4,
  }),
  inputs: fc.constantFrom(4, 12, 40),
  hasGain: fc.boolean(),
  hasBias: fc.boolean(),
  seed: fc.nat(),
});

/** What a stacked layer makes of one row, against the plain rows one after another. */
async function checkStack({ heights, inputs, hasGain, hasBias, seed }: Case): Promise<void> {
  const runtime = await testRuntime();
  const outputs = heights.reduce((sum, height) => sum + height, 0);
  const rows = randomValues(seed, outputs * inputs);
  const gain = hasGain ? randomValues(seed + 1, inputs) : new Float32Array(inputs).fill(1);
  const bias = hasBias ? randomValues(seed + 2, outputs) : new Float32Array(outputs);
  const input = randomValues(seed + 3, inputs);
  const leftPadding = heights.map((_, i) => heights.slice(0, i).reduce((sum, height) => sum + height, 0));
  const matrices = heights.map((height, i) => {
    const values = rows.slice(leftPadding[i]! * inputs, (leftPadding[i]! + height) * inputs);
    return [`matrix ${i}`, { shape: [height, inputs], values }] as const;
  });
  const checkpoint = memoryCheckpoint({
    ...Object.fromEntries(matrices),
    gain: { shape: [inputs], values: gain },
    bias: { shape: [outputs], values: bias },
  });
  const ignored = [...(hasGain ? [] : [/^gain$/]), ...(hasBias ? [] : [/^bias$/])];
  const tree = matrix({
    name: matrices.map(([name]) => name),
    heights,
    inputs,
    outputs,
    ...(hasGain && { gain: 'gain' }),
    ...(hasBias && { bias: 'bias' }),
  });
  expectFit(tree, checkpoint, ignored);

  let progress = { loadedBytes: 0, totalBytes: -1 };
  const onProgress = (now: typeof progress) => {
    progress = now;
  };
  const { layers: weight, dispose } = await loadWeights(runtime, tree, { checkpoint, dtype: 'f32', onProgress });

  using x = runtime.tensor([1, inputs], 'f32', 'x', input);
  const y = await compute(runtime, () => linear(x, weight));
  dispose();

  assert.equal(progress.loadedBytes, progress.totalBytes);
  const expected = linearOracle(
    input.map((v, i) => v * gain[i]!),
    rows,
    1,
    inputs,
    outputs,
  ).map((v, i) => v + bias[i]!);
  // f32: a rounding of each product, each partial sum and the bias, all below inputs + 1
  close(y, expected, { absolute: 2 ** -23 * (inputs + 2) * (inputs + 1) });
}

describe('loaded weights', () => {
  it('stacks matrices of any heights row by row, with gain and bias, at blocks that none of them ends with', async () => {
    await fc.assert(fc.asyncProperty(cases, checkStack), { numRuns: 30 });
  });

  it('stacks matrices that are read in several slices', async () => {
    // 8 MB a slice are 256 rows of 8192 values: two matrices of more, neither a multiple of it nor of 32
    await checkStack({ heights: [300, 17, 270], inputs: 8192, hasGain: true, hasBias: false, seed: 7 });
  });

  it('interleaves gate and up projections whose height is no multiple of a block', async () => {
    const runtime = await testRuntime();
    const check = async (height: number, seed: number) => {
      const inputs = 12;
      const [gate, up] = [randomValues(seed, height * inputs), randomValues(seed + 1, height * inputs)];
      const input = randomValues(seed + 2, inputs);
      const shape = [height, inputs];
      const checkpoint = memoryCheckpoint({ gate: { shape, values: gate }, up: { shape, values: up } });
      const tree = matrix({ name: 'gate', up: 'up', inputs, outputs: height });
      const { layers: weight, dispose } = await loadWeights(runtime, tree, { checkpoint, dtype: 'f32' });
      using x = runtime.tensor([1, inputs], 'f32', 'x', input);
      const y = await compute(runtime, () => linear(x, weight));
      dispose();
      const [g, u] = [gate, up].map((matrix) => linearOracle(input, matrix, 1, inputs, height)) as [
        Float64Array,
        Float64Array,
      ];
      const expected = g.map((v, i) => (v / (1 + Math.exp(-v))) * u[i]!);
      // both sums are below 12; the error of one, 12 · 2^-24 · 12, is multiplied by the other; exp adds a few roundings
      close(y, expected, { absolute: 2 * 12 * 12 * 12 * 2 ** -24, relative: 1e-5 });
    };
    await fc.assert(fc.asyncProperty(fc.integer({ min: 1, max: 100 }), fc.nat(), check), { numRuns: 15 });
  });

  it('refuse a value that is no number, or that f16 does not hold, naming its tensor, and keep no memory', async () => {
    const runtime = await testRuntime();
    const gained = matrix({ name: 'w', gain: 'g', inputs: 8, outputs: 3 });
    const trees = {
      w: gained,
      g: gained,
      t: table({ name: 't', count: 5, width: 8 }),
      'c.weight': convolution({ name: 'c', inputs: 8, outputs: 2 }),
    };
    for (const [bad, tree] of Object.entries(trees)) {
      for (const [value, remedy] of [
        [1e5, /got -?\d+(\.\d+)?; load it with dtype 'f32'$/],
        [-65520, /got -?\d+(\.\d+)?; load it with dtype 'f32'$/],
        [Number.NaN, /got NaN; the checkpoint is damaged$/],
      ] as const) {
        const tensors = Object.fromEntries(
          [...storedShapes(tree)].map(([name, shape]) => {
            const values = new Float32Array(count(shape)).fill(1);
            if (name === bad) values[1] = value;
            return [name, { shape, values }];
          }),
        );
        const before = runtime.liveBytes;
        const load = (dtype: 'f16' | 'f32') =>
          loadWeights(runtime, tree, { checkpoint: memoryCheckpoint(tensors), dtype });
        await assert.rejects(load('f16'), (error) => {
          assert.ok(error instanceof FormatError);
          assert.match(error.message, remedy);
          return error.message.startsWith('made: ') && error.message.includes(bad);
        });
        assert.equal(runtime.liveBytes, before);
        if (Number.isNaN(value)) await assert.rejects(load('f32'), remedy);
        else (await load('f32')).dispose();
        if (tensors[bad]) tensors[bad].values[1] = 65519; // rounds to the largest that there is
        (await load('f16')).dispose();
      }
    }
  });
});
