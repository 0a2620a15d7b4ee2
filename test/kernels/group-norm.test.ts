import assert from 'node:assert/strict';
import fc from 'fast-check';
import { asImage, whole } from '../../src/kernels/bands.ts';
import { type GroupNorm, groupNorm } from '../../src/kernels/group-norm.ts';
import { pickBandRows, pickSlab } from '../../src/kernels/slabs.ts';
import { ShapeError } from '../../src/tensor/errors.ts';
import type { Runtime } from '../../src/tensor/runtime.ts';
import { normImage } from '../oracle/vq.ts';
import { close } from '../support/close.ts';
import { randomValues } from '../support/random.ts';
import { compute, testRuntime } from '../support/runtime.ts';

const EPSILON = 1e-6;
/** Half a unit of the last place of 1 in f32. */
const HALF_UNIT = 2 ** -24;

/** Sizes around whole slabs: pickSlab gives powers of two near the root of the pixels. */
const cases = fc.record({
  rows: fc.constantFrom(1, 2, 3, 7, 16, 17),
  columns: fc.constantFrom(1, 4, 5, 8, 16, 33),
  groups: fc.constantFrom(1, 4, 32),
  width: fc.constantFrom(1, 2, 4, 5, 16),
  swish: fc.boolean(),
  mean: fc.constantFrom(0, 1, 100),
  seed: fc.integer(),
});

describe('groupNorm', () => {
  let runtime: Runtime;
  before(async () => {
    runtime = await testRuntime();
  });

  function norm(channels: number, groups: number, seed: number) {
    const gain = randomValues(seed, channels);
    const bias = randomValues(seed + 1, channels);
    const tensors: GroupNorm = {
      gain: runtime.tensor([channels], 'f32', 'norm', gain),
      bias: runtime.tensor([channels], 'f32', 'norm', bias),
      groups,
      epsilon: EPSILON,
    };
    const dispose = () => {
      tensors.gain.dispose();
      tensors.bias.dispose();
    };
    return { gain, bias, tensors, dispose };
  }

  it('equals the plain norm at every size, with and without swish, far from zero too', async () => {
    const wholeQuads = cases.filter(({ groups, width }) => (groups * width) % 4 === 0);
    await fc.assert(
      fc.asyncProperty(wholeQuads, async ({ rows, columns, groups, width, swish, mean, seed }) => {
        const channels = groups * width;
        const { gain, bias, tensors, dispose } = norm(channels, groups, seed);
        const values = randomValues(seed + 2, rows * columns * channels).map((value) => value + mean);
        using x = runtime.tensor([rows, columns, channels], 'f32', 'x', values);

        const y = await compute(runtime, () => whole(groupNorm(asImage(x), tensors, { swish })));
        dispose();

        const image = { rows, columns, channels, values };
        const expected = normImage(image, gain, bias, { groups, epsilon: EPSILON, swish }).values;
        // The mean and each x are known to a few units of their size, and are divided by the deviation of the group.
        const deviation = leastDeviation(values, channels, groups);
        close(y, expected, { absolute: 16 * HALF_UNIT * ((mean + 1) / deviation + 1), relative: 64 * HALF_UNIT }, 'y');
      }),
      { numRuns: 40 },
    );
  });

  it('keeps its precision over an image of 512 x 512 with a mean of 30 deviations', async () => {
    const [side, channels, groups] = [512, 4, 2];
    const { gain, bias, tensors, dispose } = norm(channels, groups, 3);
    const values = randomValues(4, side * side * channels).map((value) => value + 17);
    using x = runtime.tensor([side, side, channels], 'f32', 'x', values);

    const y = await compute(runtime, () => whole(groupNorm(asImage(x), tensors)));
    dispose();

    const image = { rows: side, columns: side, channels, values };
    const expected = normImage(image, gain, bias, { groups, epsilon: EPSILON, swish: false }).values;
    close(y, expected, { absolute: 16 * HALF_UNIT * (18 / Math.sqrt(1 / 3) + 1) }, 'y');
  });

  it('cuts an image into slabs that cover it, none of more than 512 pixels', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 20 }), (pixels) => {
        const slab = pickSlab(pixels);

        assert.ok(slab >= 1 && slab <= 512 && slab * Math.ceil(pixels / slab) >= pixels);
      }),
    );
  });

  it('cuts an image into bands of whole slabs that fit with a row on both sides, or of the fewest rows', () => {
    const sides = fc.integer({ min: 1, max: 2048 });
    fc.assert(
      fc.property(sides, sides, fc.constantFrom(4, 64, 512), fc.integer({ min: 0, max: 2 ** 28 }), (...numbers) => {
        const [rows, columns, channels, bytes] = numbers;
        const bandRows = pickBandRows({ rows, columns, channels }, bytes);

        const areSlabs = (count: number) => (count * columns) % pickSlab(rows * columns) === 0;
        const fits = (count: number) => 4 * columns * channels * count <= bytes;
        if (fits(rows)) assert.equal(bandRows, rows);
        else assert.ok(areSlabs(bandRows) && (fits(bandRows + 2) || bandRows === 1 || !areSlabs(bandRows / 2)));
      }),
    );
  });

  it('refuses channels that the groups do not divide', async () => {
    const { tensors, dispose } = norm(8, 3, 1);
    using x = runtime.tensor([1, 1, 8], 'f32', 'x');

    const recording = runtime.record('test', () => groupNorm(asImage(x), tensors));

    await assert.rejects(recording, ShapeError);
    dispose();
  });
});

/** Of the group with the least: √(variance + ε). */
function leastDeviation(values: Float32Array, channels: number, groups: number): number {
  const width = channels / groups;
  const deviations = Array.from({ length: groups }, (_, group) => {
    const own = [...values].filter((_value, i) => Math.floor((i % channels) / width) === group);
    const mean = own.reduce((sum, value) => sum + value, 0) / own.length;
    return Math.sqrt(own.reduce((sum, value) => sum + (value - mean) ** 2, 0) / own.length + EPSILON);
  });
  return Math.min(...deviations);
}
