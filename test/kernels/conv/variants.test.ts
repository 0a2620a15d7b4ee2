import assert from 'node:assert/strict';
import { asImage, whole } from '../../../src/kernels/bands.ts';
import { conv } from '../../../src/kernels/conv/conv.ts';
import { candidates } from '../../../src/kernels/conv/variants/index.ts';
import { allocateConv, TAPS, writeConvBlock } from '../../../src/kernels/conv/weight.ts';
import { LANES } from '../../../src/kernels/linear/weight.ts';
import { Runtime } from '../../../src/tensor/runtime.ts';
import type { AdapterTraits } from '../../../src/tensor/traits.ts';
import { computeEach } from '../../support/candidates.ts';
import { randomValues } from '../../support/random.ts';

/** No width is that of a tile, of a subgroup or of a block. */
const CASES = [
  { kind: 'gpu', dtype: 'f32', columns: 11, outputs: 37, upsample: false },
  { kind: 'swiftshader', dtype: 'f16', columns: 9, outputs: 3, upsample: true },
] as const;

describe('the variants of a convolution', () => {
  it('give the same bits, each of them, on the CPU and as on a GPU', async () => {
    using runtime = await Runtime.open({ driver: 'swiftshader' });
    for (const { kind, dtype, columns, outputs, upsample } of CASES) {
      Object.defineProperty(runtime, 'traits', { value: { ...runtime.traits, kind }, configurable: true });
      const bias = runtime.tensor([outputs], 'f32', 'bias', randomValues(1, outputs));
      const weight = allocateConv(runtime, { label: 'w', inputs: 16, outputs, dtype, bias });
      for (let block = 0; block * LANES < outputs; block++) {
        const height = Math.min(LANES, outputs - block * LANES);
        writeConvBlock(weight, block, randomValues(block + 2, height * 16 * TAPS));
      }
      using x = runtime.tensor([3, columns, 16], 'f32', 'x', randomValues(9, 3 * columns * 16));

      const results = await computeEach(runtime, () => whole(conv(asImage(x), weight, { upsample })));

      assert.ok(results.size > 1);
      const [[first, expected] = ['', new Float32Array()], ...others] = results;
      for (const [name, y] of others) assert.deepEqual(y, expected, `${name} against ${first}`);
      weight.matrix.dispose();
    }
  });

  it('fit every adapter, with subgroups or without', () => {
    for (const kind of ['gpu', 'lavapipe', 'swiftshader', 'browser', 'null', 'caller'] as const) {
      for (const subgroupSize of [undefined, 4, 8, 32, 64]) {
        const adapter: AdapterTraits = {
          kind,
          subgroupSize,
          hasHalfs: false,
          maxWorkgroupBytes: 16384,
          maxWorkgroupThreads: 256,
        };
        for (const width of [1, 3, 33, 512]) {
          const problem = { rows: 8, columns: 8, inputs: 32, width, upsample: false, dtype: 'f16' as const };
          const found = candidates(problem, adapter);
          assert.ok(found.length > 0, `${kind}, ${subgroupSize}`);
          assert.equal(new Set(found.map(({ name }) => name)).size, found.length, 'names tell candidates apart');
          for (const { tile } of found) assert.ok(tile.WIDTH * tile.GROUP <= adapter.maxWorkgroupThreads);
        }
      }
    }
  });
});
