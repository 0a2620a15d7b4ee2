import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type Activation, linear } from '../../../src/kernels/linear/linear.ts';
import { allocateLinear, LANES, type LinearWeight, packBlock, writeBlock } from '../../../src/kernels/linear/weight.ts';
import { fromHalf, toHalf } from '../../../src/tensor/dtype.ts';
import { ShapeError } from '../../../src/tensor/errors.ts';
import { Runtime } from '../../../src/tensor/runtime.ts';
import { linearOracle, rmsNormOracle } from '../../oracle/linear.ts';
import { close } from '../../support/close.ts';
import { randomValues } from '../../support/random.ts';
import { compute, testRuntime } from '../../support/runtime.ts';

interface Case {
  readonly rows: number;
  readonly inputs: number;
  readonly outputs: number;
  readonly dtype: 'f16' | 'f32';
  readonly seed: number;
}

/** Sizes around the tiles: 8 rows, chunks of 8 inputs, blocks of 32 outputs in groups of 4. */
const cases = fc.record({
  rows: fc.constantFrom(1, 2, 7, 8, 9, 17),
  inputs: fc.constantFrom(4, 8, 12, 44, 64, 172),
  outputs: fc.constantFrom(1, 31, 32, 33, 128, 129, 192),
  dtype: fc.constantFrom('f16' as const, 'f32' as const),
  seed: fc.nat(),
});

/** The weight in GPU memory; `values` become what the storage keeps of them. */
function upload(
  runtime: Runtime,
  matrices: readonly Float32Array<ArrayBuffer>[],
  { inputs, outputs, dtype }: Case,
  gain?: Float32Array,
): LinearWeight {
  const weight = allocateLinear(runtime, { label: 'w', inputs, outputs, dtype, paired: matrices.length === 2 });
  for (const [index, matrix] of matrices.entries()) {
    for (let first = 0; first < outputs; first += LANES) {
      const rows = matrix.subarray(first * inputs, Math.min(first + LANES, outputs) * inputs);
      writeBlock(weight, (first / LANES) * matrices.length + index, packBlock(rows, inputs, gain));
    }
  }
  return weight;
}

function matrix({ outputs, inputs, dtype }: Case, seed: number): Float32Array<ArrayBuffer> {
  const values = randomValues(seed, outputs * inputs);
  return dtype === 'f16' ? fromHalf(toHalf(values)) : values;
}

/** |error| of an f32 sum of n products: n rounding steps of at most the sum of magnitudes (here below n · 16). */
function tolerance(terms: number): { absolute: number; relative: number } {
  return { absolute: 2 ** -24 * terms * 16, relative: 1e-5 };
}

describe('linear', () => {
  it('is the product with the transposed weight, at every size around the tiles', async () => {
    const runtime = await testRuntime();
    const check = async (size: Case) => {
      const w = matrix(size, size.seed);
      using x = runtime.tensor(
        [size.rows, size.inputs],
        'f32',
        'x',
        randomValues(size.seed + 1, size.rows * size.inputs),
      );
      const weight = upload(runtime, [w], size);
      const y = await compute(runtime, () => linear(x, weight));
      close(
        y,
        linearOracle((await x.read()) as Float32Array, w, size.rows, size.inputs, size.outputs),
        tolerance(size.inputs),
      );
      weight.dispose();
    };
    await fc.assert(fc.asyncProperty(cases, check), { numRuns: 40 });
  });

  it('norms its input by the gain that was folded into the weight, then gates', async () => {
    const runtime = await testRuntime();
    const check = async (drawn: Case) => {
      const size = { ...drawn, dtype: 'f32' as const }; // the fold rounds once more in f16
      const [gate, up] = [matrix(size, size.seed), matrix(size, size.seed + 1)];
      const gain = randomValues(size.seed + 2, size.inputs);
      using x = runtime.tensor(
        [size.rows, size.inputs],
        'f32',
        'x',
        randomValues(size.seed + 3, size.rows * size.inputs),
      );
      const weight = upload(runtime, [gate, up], size, gain);
      const y = await compute(runtime, () => linear(x, weight, { normEpsilon: 1e-5 }));
      const n = rmsNormOracle((await x.read()) as Float32Array, gain, 1e-5);
      const g = linearOracle(n, gate, size.rows, size.inputs, size.outputs);
      const u = linearOracle(n, up, size.rows, size.inputs, size.outputs);
      close(
        y,
        g.map((v, i) => (v / (1 + Math.exp(-v))) * u[i]!),
        { absolute: 1e-4 * Math.sqrt(size.inputs), relative: 2e-4 },
      );
      weight.dispose();
    };
    await fc.assert(fc.asyncProperty(cases, check), { numRuns: 25 });
  });

  it('gates by an activation where one is given, in place of silu', async () => {
    const runtime = await testRuntime();
    for (const [rows, outputs] of [
      [1, 31],
      [9, 129],
    ] as const) {
      const size: Case = { rows, inputs: 44, outputs, dtype: 'f32', seed: rows };
      const [gate, up] = [matrix(size, 1), matrix(size, 2)];
      using x = runtime.tensor([rows, 44], 'f32', 'x', randomValues(3, rows * 44));
      const weight = upload(runtime, [gate, up], size);
      const y = await compute(runtime, () => linear(x, weight, { activation: 'geluTanh' }));
      const values = (await x.read()) as Float32Array;
      const g = linearOracle(values, gate, rows, 44, outputs);
      const u = linearOracle(values, up, rows, 44, outputs);
      const gelu = (v: number) => 0.5 * v * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3)));
      close(
        y,
        g.map((v, i) => gelu(v) * u[i]!),
        { absolute: 1e-4 * Math.sqrt(44), relative: 2e-4 },
      );
      weight.dispose();
    }
  });

  it('adds the residual after the activation', async () => {
    const runtime = await testRuntime();
    const size: Case = { rows: 3, inputs: 12, outputs: 40, dtype: 'f32', seed: 5 };
    const w = matrix(size, 1);
    using x = runtime.tensor([3, 12], 'f32', 'x', randomValues(2, 36));
    using residual = runtime.tensor([3, 40], 'f32', 'residual', randomValues(3, 120));
    const weight = upload(runtime, [w], size);
    const plain = linearOracle(randomValues(2, 36), w, 3, 12, 40);
    const gelu: Record<Activation, (v: number) => number> = {
      none: (v) => v,
      geluTanh: (v) => 0.5 * v * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3))),
      geluErf: (v) => v * normalCumulative(v),
    };
    for (const activation of ['none', 'geluTanh', 'geluErf'] as const) {
      const y = await compute(runtime, () => linear(x, weight, { activation, residual }));
      close(
        y,
        plain.map((v, i) => gelu[activation](v) + randomValues(3, 120)[i]!),
        { absolute: 1e-5, relative: 1e-5 },
        activation,
      );
    }
    weight.dispose();
  });

  it('splits a weight larger than one binding and gives the same result', async () => {
    const size: Case = { rows: 2, inputs: 64, outputs: 200, dtype: 'f32', seed: 9 };
    const w = matrix(size, 9);
    const whole = await testRuntime();
    using narrow = await Runtime.open({ driver: 'swiftshader', maxBindingBytes: 2 * LANES * 64 * 4 + 100 });
    const results = [];
    for (const runtime of [whole, narrow]) {
      using x = runtime.tensor([2, 64], 'f32', 'x', randomValues(1, 128));
      const weight = upload(runtime, [w], size);
      results.push({ parts: weight.parts.length, y: await compute(runtime, () => linear(x, weight)) });
      weight.dispose();
    }
    assert.deepEqual(
      results.map(({ parts }) => parts),
      [1, 4],
    );
    assert.deepEqual(results[1]!.y, results[0]!.y);
  });

  it('refuses an input of another width, with both shapes', async () => {
    const runtime = await testRuntime();
    const weight = allocateLinear(runtime, { label: 'layers.3.down', inputs: 8, outputs: 8, dtype: 'f32' });
    using x = runtime.tensor([2, 12], 'f32', 'x');
    await assert.rejects(
      runtime.record('test', () => linear(x, weight)),
      (error) => {
        assert.ok(error instanceof ShapeError);
        assert.match(error.message, /layers\.3\.down: expected x \[rows, 8\], got \[2, 12\]/);
        return true;
      },
    );
    weight.dispose();
  });
});

/** Φ(v) by Simpson's rule. */
function normalCumulative(v: number): number {
  const steps = 2000;
  const h = v / steps;
  const f = (t: number) => Math.exp((-t * t) / 2) / Math.sqrt(2 * Math.PI);
  let sum = f(0) + f(v);
  for (let i = 1; i < steps; i++) sum += f(i * h) * (i % 2 ? 4 : 2);
  return 0.5 + (sum * h) / 3;
}
