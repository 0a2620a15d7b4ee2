import assert from 'node:assert/strict';
import fc from 'fast-check';
import { encoderAttention } from '../../../src/kernels/attention/encoder.ts';
import { concatRows } from '../../../src/kernels/concat-rows.ts';
import { rmsNorm } from '../../../src/kernels/norm.ts';
import { ShapeError } from '../../../src/tensor/errors.ts';
import { encoderAttentionError, encoderAttentionOracle } from '../../oracle/encoder-attention.ts';
import { rmsNormOracle } from '../../oracle/linear.ts';
import { close } from '../../support/close.ts';
import { randomValues } from '../../support/random.ts';
import { compute, testRuntime } from '../../support/runtime.ts';

/** Tokens around the 32 queries of a workgroup; every row begins anywhere. */
const cases = fc.record({
  tokens: fc.constantFrom(1, 2, 31, 32, 33, 65),
  heads: fc.constantFrom(1, 3, 8),
  headDim: fc.constantFrom(4, 12, 64),
  begins: fc.array(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), { minLength: 1, maxLength: 3 }),
  seed: fc.nat(),
});

describe('encoderAttention', () => {
  it('is the softmax of products and biases over all keys but padding, and zero for padding', async () => {
    const runtime = await testRuntime();
    const check = async ({
      tokens,
      heads,
      headDim,
      begins,
      seed,
    }: typeof cases extends fc.Arbitrary<infer C> ? C : never) => {
      const rows = begins.length;
      const leftPadding = begins.map((share) => Math.floor(share * tokens));
      const qkv = randomValues(seed, rows * tokens * 3 * heads * headDim);
      const bias = randomValues(seed + 1, heads * (2 * tokens - 1));
      using qkvTensor = runtime.tensor([rows * tokens, 3 * heads * headDim], 'f32', 'qkv', qkv);
      using biasTensor = runtime.tensor([heads, 2 * tokens - 1], 'f32', 'bias', bias);
      using startsTensor = runtime.tensor([rows], 'u32', 'starts', Uint32Array.from(leftPadding));
      const y = await compute(runtime, () =>
        encoderAttention(qkvTensor, { bias: biasTensor, leftPadding: startsTensor }, 'attention'),
      );
      close(y, encoderAttentionOracle({ rows, tokens, heads, headDim, qkv, bias, leftPadding }), {
        absolute: encoderAttentionError({ tokens, headDim }),
      });
    };
    await fc.assert(fc.asyncProperty(cases, check), { numRuns: 15 });
  });

  it('does not overflow where scores are large, as T5 has them', async () => {
    const runtime = await testRuntime();
    const [tokens, headDim] = [5, 4];
    const qkv = randomValues(3, tokens * 3 * headDim).map((value, i) => (i % 12 < 8 ? 100 * value : value));
    const bias = randomValues(4, 2 * tokens - 1).map((value) => 50 * value);
    using qkvTensor = runtime.tensor([tokens, 3 * headDim], 'f32', 'qkv', qkv);
    using biasTensor = runtime.tensor([1, 2 * tokens - 1], 'f32', 'bias', bias);
    using leftPadding = runtime.tensor([1], 'u32', 'starts', Uint32Array.of(0));
    const y = await compute(runtime, () => encoderAttention(qkvTensor, { bias: biasTensor, leftPadding }, 'attention'));
    const expected = encoderAttentionOracle({ rows: 1, tokens, heads: 1, headDim, qkv, bias, leftPadding: [0] });
    close(y, expected, { absolute: 4 * 4e4 * headDim * 2 ** -24 }); // scores up to 4e4 in f32
  });

  it('refuses shapes that do not fit, by name', async () => {
    const runtime = await testRuntime();
    using qkv = runtime.tensor([6, 24], 'f32', 'qkv');
    using bias = runtime.tensor([2, 5], 'f32', 'bias');
    using leftPadding = runtime.tensor([1], 'u32', 'starts');
    await assert.rejects(
      compute(runtime, () => encoderAttention(qkv, { bias, leftPadding }, 'here')),
      (error) => error instanceof ShapeError && /here: expected qkv \[1 · 3, 3 · 2 · D\]/.test(error.message),
    );
  });
});

describe('rmsNorm', () => {
  it('divides rows by their root mean square, times the gain, and makes padding zero', async () => {
    const runtime = await testRuntime();
    const check = async (width: number, tokens: number, seed: number) => {
      const leftPadding = [0, Math.floor(tokens / 2), tokens - 1];
      const values = randomValues(seed, 3 * tokens * width);
      const gain = randomValues(seed + 1, width);
      using x = runtime.tensor([3 * tokens, width], 'f32', 'x', values);
      using gainTensor = runtime.tensor([width], 'f32', 'gain', gain);
      using startsTensor = runtime.tensor([3], 'u32', 'starts', Uint32Array.from(leftPadding));
      const y = await compute(runtime, () =>
        rmsNorm(x, { gain: gainTensor, epsilon: 1e-6, leftPadding: startsTensor }, 'norm'),
      );
      const expected = rmsNormOracle(values, gain, 1e-6).map((value, i) => {
        const place = Math.floor(i / width);
        return place % tokens < leftPadding[Math.floor(place / tokens)]! ? 0 : value;
      });
      // a sum of C squares, a root to 2 units, and three products; the oracle rounds to f32 at its end
      close(y, expected, { absolute: 1e-7, relative: (width / 2 + 8) * 2 ** -24 });
    };
    const widths = fc.constantFrom(4, 40, 252, 256, 260);
    await fc.assert(fc.asyncProperty(widths, fc.integer({ min: 1, max: 9 }), fc.nat(), check), { numRuns: 15 });
  });
});

describe('concatRows', () => {
  it('puts matrices one below the other', async () => {
    const runtime = await testRuntime();
    const check = async (width: number, heights: readonly number[], seed: number) => {
      const values = heights.map((rows, i) => randomValues(seed + i, rows * width));
      const tensors = heights.map((rows, i) => runtime.tensor([rows, width], 'f32', 'part', values[i]!));
      const [first, ...rest] = tensors as [(typeof tensors)[0], ...typeof tensors];
      const y = await compute(runtime, () => concatRows([first, ...rest], 'stack'));
      for (const tensor of tensors) tensor.dispose();
      assert.deepEqual(
        Array.from(y),
        values.flatMap((part) => Array.from(part)),
      );
    };
    const heights = fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 3 });
    await fc.assert(fc.asyncProperty(fc.constantFrom(4, 40, 256, 260), heights, fc.nat(), check), { numRuns: 15 });
  });

  it('refuses another width', async () => {
    const runtime = await testRuntime();
    using a = runtime.tensor([2, 8], 'f32', 'a');
    using b = runtime.tensor([2, 12], 'f32', 'b');
    await assert.rejects(
      compute(runtime, () => concatRows([a, b], 'stack')),
      ShapeError,
    );
  });
});
