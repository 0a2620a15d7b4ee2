import assert from 'node:assert/strict';
import fc from 'fast-check';
import { attention } from '../../../src/kernels/attention/image.ts';
import { ShapeError } from '../../../src/tensor/errors.ts';
import type { Runtime } from '../../../src/tensor/runtime.ts';
import { attendAll } from '../../oracle/vq.ts';
import { close } from '../../support/close.ts';
import { randomValues } from '../../support/random.ts';
import { compute, testRuntime } from '../../support/runtime.ts';

/** Places around the tiles of 8 and 128, channels around the 64 vec4s of a workgroup. */
const cases = fc.record({
  places: fc.constantFrom(1, 7, 8, 9, 31, 33, 127, 128, 129, 144),
  channels: fc.constantFrom(4, 8, 12, 64, 128, 256, 260),
  /** How far the products lie apart: at 40 the softmax is nearly a choice of one. */
  sharpness: fc.constantFrom(0.1, 1, 40),
  seed: fc.integer(),
});

describe('attention', () => {
  let runtime: Runtime;
  before(async () => {
    runtime = await testRuntime();
  });

  it('equals the plain softmax attention at every size, flat and sharp', async () => {
    await fc.assert(
      fc.asyncProperty(cases, async ({ places, channels, sharpness, seed }) => {
        const factor = Math.sqrt(sharpness);
        const values = randomValues(seed, places * 3 * channels).map((value, i) =>
          i % (3 * channels) < 2 * channels ? factor * value : value,
        );
        using qkv = runtime.tensor([places, 3 * channels], 'f32', 'qkv', values);

        const y = await compute(runtime, () => attention(qkv, 'attention'));

        // Products of C terms below `sharpness`, halved by √C, are wrong by this; so, in parts, is each weight.
        const exponent = channels * sharpness * 2 ** -24 * 2;
        close(y, attendAll(values, places, channels), { absolute: 2 * exponent + (places + 16) * 2 ** -24 }, 'y');
      }),
      { numRuns: 40 },
    );
  });

  it('does not overflow when all products are large', async () => {
    using qkv = runtime.tensor([3, 12], 'f32', 'qkv', new Float32Array(36).fill(1e4));

    const y = await compute(runtime, () => attention(qkv, 'attention'));

    close(y, new Float32Array(12).fill(1e4), { absolute: 0, relative: 1e-6 });
  });

  it('refuses a width that is not three times whole vec4s', async () => {
    using qkv = runtime.tensor([2, 16], 'f32', 'qkv');

    const recording = runtime.record('test', () => attention(qkv, 'attention'));

    await assert.rejects(recording, ShapeError);
  });
});
