import fc from 'fast-check';
import { qkNorm } from '../../src/kernels/qk-norm.ts';
import { close } from '../support/close.ts';
import { randomValues } from '../support/random.ts';
import { compute, testRuntime } from '../support/runtime.ts';

/** Mean, variance and norm of each head in doubles; heads past those of the gain as they are. */
function oracle(x: Float32Array, gain: Float32Array, bias: Float32Array, heads: number, headDim: number): Float64Array {
  const normed = gain.length / headDim;
  return Float64Array.from(x, (value, i) => {
    const head = Math.floor(i / headDim) % heads;
    if (head >= normed) return value;
    const values = x.subarray(i - (i % headDim), i - (i % headDim) + headDim);
    const mean = values.reduce((sum, v) => sum + v, 0) / headDim;
    const variance = values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / headDim;
    const at = head * headDim + (i % headDim);
    return ((value - mean) / Math.sqrt(variance + 1e-5)) * gain[at]! + bias[at]!;
  });
}

const shapes = fc.record({
  rows: fc.constantFrom(1, 2, 5),
  heads: fc.constantFrom(1, 2, 4),
  kvHeads: fc.constantFrom(1, 2),
  headDim: fc.constantFrom(4, 31, 32, 33, 64, 128),
  seed: fc.nat(),
});

describe('qkNorm', () => {
  it('norms every query and key head over its channels, and leaves values as they are', async () => {
    const runtime = await testRuntime();
    const check = async (f: { rows: number; heads: number; kvHeads: number; headDim: number; seed: number }) => {
      const all = f.heads + 2 * f.kvHeads;
      const normed = f.heads + f.kvHeads;
      const x = randomValues(f.seed, f.rows * all * f.headDim).map((v) => 3 * v + 0.5);
      const gain = randomValues(f.seed + 1, normed * f.headDim);
      const bias = randomValues(f.seed + 2, normed * f.headDim);
      using qkv = runtime.tensor([f.rows, all * f.headDim], 'f32', 'qkv', x);
      using g = runtime.tensor([normed, f.headDim], 'f32', 'gain', gain);
      using b = runtime.tensor([normed, f.headDim], 'f32', 'bias', bias);

      const y = await compute(runtime, () => qkNorm(qkv, { gain: g, bias: b, epsilon: 1e-5 }));

      // sums of up to 128 terms below 4 in f32, over a deviation that is seldom below 0.1: 128 · 2^-24 · 4 / 0.1
      close(y, oracle(x, gain, bias, all, f.headDim), { absolute: 3.1e-4, relative: 1e-4 });
    };
    await fc.assert(fc.asyncProperty(shapes, check), { numRuns: 40 });
  });
});
