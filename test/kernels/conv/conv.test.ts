import assert from 'node:assert/strict';
import fc from 'fast-check';
import { asImage, whole } from '../../../src/kernels/bands.ts';
import { conv } from '../../../src/kernels/conv/conv.ts';
import { allocateConv, type ConvWeight, TAPS, writeConvBlock } from '../../../src/kernels/conv/weight.ts';
import { LANES } from '../../../src/kernels/linear/weight.ts';
import { fromHalf, toHalf } from '../../../src/tensor/dtype.ts';
import { ShapeError } from '../../../src/tensor/errors.ts';
import { Runtime } from '../../../src/tensor/runtime.ts';
import type { Tensor } from '../../../src/tensor/tensor.ts';
import { convImage, doubleImage } from '../../oracle/vq.ts';
import { close } from '../../support/close.ts';
import { randomValues } from '../../support/random.ts';
import { compute, testRuntime } from '../../support/runtime.ts';

/** Sizes around the tiles of 8 and 16 pixels, and outputs around the few of one thread and blocks of 32. */
const cases = fc.record({
  rows: fc.integer({ min: 1, max: 5 }),
  columns: fc.constantFrom(1, 7, 8, 9, 15, 16, 17, 32),
  inputs: fc.constantFrom(8, 16, 24),
  outputs: fc.constantFrom(1, 3, 4, 5, 12, 31, 32, 33, 64, 129, 160),
  dtype: fc.constantFrom('f16' as const, 'f32' as const),
  upsample: fc.boolean(),
  residual: fc.boolean(),
  /** Rows of a band of x, and of y. */
  bands: fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 5 })),
  seed: fc.integer(),
});

/** Sums of 9 I + 2 terms below 1 stay of the size of their number's root; each addition rounds by half a unit of that. */
function tolerance(inputs: number): number {
  return (TAPS * inputs + 2) ** 1.5 * 2 ** -24;
}

interface Filled {
  readonly inputs: number;
  readonly outputs: number;
  readonly dtype: 'f16' | 'f32';
  readonly values: Float32Array;
  readonly bias: Float32Array<ArrayBuffer>;
}

function filled(runtime: Runtime, { inputs, outputs, dtype, values, bias }: Filled): ConvWeight {
  const weight = allocateConv(runtime, {
    label: 'weight',
    inputs,
    outputs,
    dtype,
    bias: runtime.tensor([outputs], 'f32', 'bias', bias),
  });
  const blockValues = LANES * inputs * TAPS;
  for (let block = 0; block * LANES < outputs; block++) {
    writeConvBlock(weight, block, values.subarray(block * blockValues, (block + 1) * blockValues));
  }
  return weight;
}

/** An image [Y, X, C] in tensors of so many rows. */
function bandTensors(
  runtime: Runtime,
  values: Float32Array<ArrayBuffer>,
  [rows, columns, channels]: readonly [number, number, number],
  bandRows: number,
): [Tensor, ...Tensor[]] {
  const band = (top: number) => {
    const count = Math.min(bandRows, rows - top);
    const row = columns * channels;
    return runtime.tensor([count, columns, channels], 'f32', 'band', values.slice(top * row, (top + count) * row));
  };
  return [band(0), ...Array.from({ length: Math.ceil(rows / bandRows) - 1 }, (_, i) => band((i + 1) * bandRows))];
}

describe('conv', () => {
  let runtime: Runtime;
  before(async () => {
    runtime = await testRuntime();
  });

  it('equals the plain convolution at every size, storage, option and band', async () => {
    await fc.assert(
      fc.asyncProperty(cases, async ({ rows, columns, inputs, outputs, dtype, upsample, residual, bands, seed }) => {
        const scale = upsample ? 2 : 1;
        const values = randomValues(seed, outputs * inputs * TAPS);
        const stored = dtype === 'f16' ? fromHalf(toHalf(values)) : values;
        const bias = randomValues(seed + 1, outputs);
        const pixels = randomValues(seed + 2, rows * columns * inputs);
        const added = randomValues(seed + 3, scale * scale * rows * columns * outputs);
        const weight = filled(runtime, { inputs, outputs, dtype, values, bias });
        const [bandRows, yBandRows] = bands;
        const x = bandTensors(runtime, pixels, [rows, columns, inputs], bandRows);
        const addend = bandTensors(runtime, added, [scale * rows, scale * columns, outputs], yBandRows);

        const y = await compute(runtime, () =>
          whole(
            conv(asImage(...x), weight, {
              upsample,
              bandRows: yBandRows,
              ...(residual && { residual: asImage(...addend) }),
            }),
          ),
        );
        for (const thing of [...x, ...addend, weight.matrix]) thing.dispose();

        const image = { rows, columns, channels: inputs, values: pixels };
        const expected = convImage(upsample ? doubleImage(image) : image, stored, bias);
        const sums = Float64Array.from(expected.values, (value, i) => value + (residual ? added[i]! : 0));
        close(y, sums, { absolute: tolerance(inputs) }, 'y');
      }),
      { numRuns: 16 },
    );
  });

  it('gives the same sums from a weight that is split over two bindings', async () => {
    const [side, inputs, outputs] = [5, 8, 100];
    using narrow = await Runtime.open({
      driver: runtime.kind === 'lavapipe' ? 'lavapipe' : 'swiftshader',
      maxBindingBytes: 20_000,
    });
    const values = randomValues(5, outputs * inputs * TAPS);
    const bias = randomValues(6, outputs);
    const pixels = randomValues(7, side * side * inputs);
    const weight = filled(narrow, { inputs, outputs, dtype: 'f32', values, bias });
    const x = narrow.tensor([side, side, inputs], 'f32', 'x', pixels);

    const y = await compute(narrow, () => whole(conv(asImage(x), weight)));

    assert.equal(weight.matrix.parts.length, 2);
    const expected = convImage({ rows: side, columns: side, channels: inputs, values: pixels }, values, bias).values;
    close(y, expected, { absolute: tolerance(inputs) }, 'y');
  });

  it('refuses an image of other channels, naming both shapes', async () => {
    const weight = filled(runtime, {
      inputs: 8,
      outputs: 4,
      dtype: 'f32',
      values: new Float32Array(288),
      bias: new Float32Array(4),
    });
    using x = runtime.tensor([2, 2, 16], 'f32', 'x');

    const recording = runtime.record('test', () => conv(asImage(x), weight));

    await assert.rejects(recording, new ShapeError('weight: expected x [Y, X, 8], got [2, 2, 16]'));
    weight.matrix.dispose();
  });

  it('refuses channels that 8 does not divide', () => {
    using bias = runtime.tensor([4], 'f32', 'bias');

    assert.throws(
      () => allocateConv(runtime, { label: 'weight', inputs: 12, outputs: 4, dtype: 'f32', bias }),
      ShapeError,
    );
  });
});
