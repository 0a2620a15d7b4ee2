import assert from 'node:assert/strict';
import fc from 'fast-check';
import { linear } from '../../../src/kernels/linear/linear.ts';
import {
  dequantizeBlock,
  GROUP,
  QMAX,
  type QuantizedDtype,
  quantizeBlock,
  quantizedBytes,
} from '../../../src/kernels/linear/quantize.ts';
import {
  allocateLinear,
  blockBytes,
  isQuantized,
  LANES,
  type LinearWeight,
  type MatrixDtype,
  packBlock,
  writeBlock,
} from '../../../src/kernels/linear/weight.ts';
import { FormatError } from '../../../src/tensor/errors.ts';
import { Runtime } from '../../../src/tensor/runtime.ts';
import type { Tensor } from '../../../src/tensor/tensor.ts';
import { linearOracle } from '../../oracle/linear.ts';
import { close } from '../../support/close.ts';
import { randomValues } from '../../support/random.ts';
import { compute, testRuntime } from '../../support/runtime.ts';

const dtypes = fc.constantFrom<QuantizedDtype>('int8', 'int4');

/** Sizes around chunks of 8, groups of 32, four groups of 32, blocks of 32 outputs, tiles of 8 rows. */
const cases = fc.record({
  dtype: dtypes,
  rows: fc.constantFrom(1, 2, 7, 8, 9),
  inputs: fc.constantFrom(4, 8, 28, 32, 36, 64, 124, 128, 132, 172),
  outputs: fc.constantFrom(1, 31, 32, 33, 129),
  seed: fc.nat(),
});
type Case = Readonly<{ dtype: QuantizedDtype; rows: number; inputs: number; outputs: number; seed: number }>;

/** The weight on the GPU, and the matrices [O, C] as it keeps them. */
function upload(
  runtime: Runtime,
  matrices: readonly Float32Array<ArrayBuffer>[],
  { dtype, inputs, outputs }: { readonly dtype: MatrixDtype; readonly inputs: number; readonly outputs: number },
  more: { readonly bias?: Tensor } = {},
): { readonly weight: LinearWeight; readonly kept: readonly Float32Array<ArrayBuffer>[] } {
  const weight = allocateLinear(runtime, {
    label: 'w',
    inputs,
    outputs,
    dtype,
    paired: matrices.length === 2,
    ...more,
  });
  const kept = matrices.map((matrix, index) => {
    const all = new Float32Array(outputs * inputs);
    for (let first = 0; first < outputs; first += LANES) {
      const packed = packBlock(matrix.subarray(first * inputs, (first + LANES) * inputs), inputs);
      writeBlock(weight, (first / LANES) * matrices.length + index, packed);
      const values = isQuantized(dtype)
        ? dequantizeBlock(quantizeBlock(packed, inputs, LANES, dtype, 'w'), packed.length, LANES, dtype)
        : packed;
      for (let row = first; row < Math.min(first + LANES, outputs); row++) {
        for (let c = 0; c < inputs; c++)
          all[row * inputs + c] = values[(Math.floor(c / 8) * LANES + row - first) * 8 + (c % 8)]!;
      }
    }
    return all;
  });
  return { weight, kept };
}

/** n rounding steps of at most the sum of magnitudes (below n), and three roundings of each weight in the shader. */
const tolerance = (terms: number) => ({ absolute: 2 ** -24 * terms * (terms + 3), relative: 1e-5 });

describe('quantized weights', () => {
  it('keep every weight to half a step of its group, and to the rounding of the scale at the ends', () => {
    const sizes = fc.constantFrom(1e-8, 1e-6, 1e-3, 1, 300, 1e5);
    const property = fc.property(dtypes, fc.nat(), sizes, (dtype, seed, size) => {
      const inputs = 3 * GROUP + 8;
      const block = packBlock(
        randomValues(seed, LANES * inputs).map((v) => v * size),
        inputs,
      );
      const quantized = quantizeBlock(block, inputs, LANES, dtype, 'w');
      const values = dequantizeBlock(quantized, block.length, LANES, dtype);
      for (const [at, value] of values.entries()) {
        const chunk = Math.floor(at / 8 / LANES);
        const lane = Math.floor(at / 8) % LANES;
        const group = Math.floor(chunk / 4);
        let largest = 0;
        for (let c = 4 * group; c < Math.min(4 * group + 4, inputs / 8); c++)
          for (let i = 0; i < 8; i++) largest = Math.max(largest, Math.abs(block[(c * LANES + lane) * 8 + i]!));
        // half a step, or at the ends what the scale lost to f16: 2^-11 of it, or 2^-25 where it is subnormal
        const lost = QMAX[dtype] * 2 ** -25 + largest * 2 ** -11;
        const step = largest / QMAX[dtype] + 2 ** -25;
        assert.ok(Math.abs(value - block[at]!) <= Math.max(step * (0.5 + 2 ** -11), lost) + 2 ** -40, `${at}`);
      }
    });
    fc.assert(property, { numRuns: 80 });
  });

  it('keep zeros and the largest of each group', () => {
    for (const dtype of ['int8', 'int4'] as const) {
      const block = new Float32Array(LANES * 64);
      block[0] = QMAX[dtype] / 4;
      block[3] = -QMAX[dtype] / 4;
      const values = dequantizeBlock(quantizeBlock(block, 64, LANES, dtype, 'w'), block.length, LANES, dtype);
      assert.deepEqual([...values], [...block]);
    }
  });

  it('name the place of weights that are not finite, or too large for a scale', () => {
    for (const wrong of [Number.NaN, Number.POSITIVE_INFINITY, 1e7]) {
      const block = new Float32Array(LANES * 32);
      block[77] = wrong;
      assert.throws(
        () => quantizeBlock(block, 32, LANES, 'int4', 'layers.3.down'),
        (error) => error instanceof FormatError && /^layers\.3\.down: expected finite weights/.test(error.message),
      );
    }
  });

  it('multiply as the weights they stand for, at every size around chunks, groups, blocks and tiles', async () => {
    const runtime = await testRuntime();
    const check = async (f: Case) => {
      const { weight, kept } = upload(runtime, [randomValues(f.seed, f.outputs * f.inputs)], f);
      const values = randomValues(f.seed + 1, f.rows * f.inputs);
      using x = runtime.tensor([f.rows, f.inputs], 'f32', 'x', values);
      const y = await compute(runtime, () => linear(x, weight));
      close(y, linearOracle(values, kept[0]!, f.rows, f.inputs, f.outputs), tolerance(f.inputs));
      weight.dispose();
    };
    await fc.assert(fc.asyncProperty(cases, check), { numRuns: 40 });
  });

  it('take the bytes of the formula, and are split where a binding is too small for all', async () => {
    assert.equal(quantizedBytes(1024, LANES, 'int4'), (LANES * 1024 * 4.5) / 8);
    assert.equal(quantizedBytes(1024, LANES, 'int8'), (LANES * 1024 * 8.5) / 8);
    using runtime = await Runtime.open({ driver: 'swiftshader', maxBindingBytes: 3 * blockBytes(256, 'int4') });
    const before = runtime.liveBytes;
    const f = { dtype: 'int4' as const, inputs: 256, outputs: 200 };
    const { weight, kept } = upload(runtime, [randomValues(5, 200 * 256)], f);
    assert.equal(runtime.liveBytes - before, 7 * blockBytes(256, 'int4'));
    assert.equal(weight.parts.length, 3);
    const values = randomValues(6, 2 * 256);
    using x = runtime.tensor([2, 256], 'f32', 'x', values);
    const y = await compute(runtime, () => linear(x, weight));
    close(y, linearOracle(values, kept[0]!, 2, 256, 200), tolerance(256));
    weight.dispose();
  });

  it('take norm, bias, activation, pairing and residual as the f32 weights they stand for, in parts', async () => {
    const whole = await testRuntime();
    // two blocks of int8, four of int4
    using narrow = await Runtime.open({ driver: 'swiftshader', maxBindingBytes: 2 * blockBytes(172, 'int8') });
    const property = fc.asyncProperty(
      cases,
      fc.constantFrom('none' as const, 'geluTanh' as const, 'geluErf' as const),
      fc.record({ paired: fc.boolean(), biased: fc.boolean(), added: fc.boolean(), normed: fc.boolean() }),
      async (f, activation, { paired, biased, added, normed }) => {
        const { rows, inputs, outputs, seed } = f;
        const run = async (runtime: Runtime, matrices: readonly Float32Array<ArrayBuffer>[], dtype: MatrixDtype) => {
          const bias = runtime.tensor([outputs], 'f32', 'bias', randomValues(seed + 2, outputs));
          const { weight, kept } = upload(runtime, matrices, { ...f, dtype }, biased ? { bias } : {});
          using x = runtime.tensor([rows, inputs], 'f32', 'x', randomValues(seed + 3, rows * inputs));
          using residual = runtime.tensor([rows, outputs], 'f32', 'residual', randomValues(seed + 4, rows * outputs));
          const options = { activation, ...(normed && { normEpsilon: 1e-5 }), ...(added && { residual }) };
          const y = await compute(runtime, () => linear(x, weight, options));
          weight.dispose();
          bias.dispose();
          return { y, kept };
        };
        const matrices = Array.from({ length: paired ? 2 : 1 }, (_, i) => randomValues(seed + i, outputs * inputs));

        const { y, kept } = await run(narrow, matrices, f.dtype);

        const { y: expected } = await run(whole, kept, 'f32');
        // both round; a norm makes x up to sqrt(inputs), a gate multiplies one such sum by another
        close(y, expected, { absolute: 1e-4 * Math.sqrt(inputs), relative: 2e-4 });
      },
    );
    await fc.assert(property, { numRuns: 25 });
  });
});
