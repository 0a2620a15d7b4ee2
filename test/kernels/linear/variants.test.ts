import assert from 'node:assert/strict';
import fc from 'fast-check';
import { linear } from '../../../src/kernels/linear/linear.ts';
import { candidates, VARIANTS } from '../../../src/kernels/linear/variants/index.ts';
import { allocateLinear, LANES, type MatrixDtype, packBlock, writeBlock } from '../../../src/kernels/linear/weight.ts';
import { Runtime } from '../../../src/tensor/runtime.ts';
import type { AdapterTraits } from '../../../src/tensor/traits.ts';
import { computeEach } from '../../support/candidates.ts';
import { randomValues } from '../../support/random.ts';
import { compute, testRuntime } from '../../support/runtime.ts';

/** Rows around the tiles of 1, 2, 4 and 8; inputs around chunks of 8, groups of 32, 8 segments; outputs around blocks. */
const cases = fc.record({
  dtype: fc.constantFrom<MatrixDtype>('f32', 'f16', 'int8', 'int4'),
  rows: fc.constantFrom(1, 2, 3, 5, 8, 9, 16, 17),
  inputs: fc.constantFrom(4, 12, 32, 172, 260, 520),
  outputs: fc.constantFrom(1, 31, 33, 100, 129),
  paired: fc.boolean(),
  normed: fc.boolean(),
  seed: fc.nat(),
});
interface Case {
  readonly dtype: MatrixDtype;
  readonly rows: number;
  readonly inputs: number;
  readonly outputs: number;
  readonly paired: boolean;
  readonly normed: boolean;
  readonly seed: number;
}

function upload(runtime: Runtime, { dtype, inputs, outputs, paired, seed }: Case) {
  const weight = allocateLinear(runtime, { label: 'w', inputs, outputs, dtype, paired });
  const matrices = paired ? 2 : 1;
  for (let block = 0; block < Math.ceil(outputs / LANES) * matrices; block++) {
    const height = Math.min(LANES, outputs - Math.floor(block / matrices) * LANES);
    writeBlock(weight, block, packBlock(randomValues(seed + block, height * inputs), inputs));
  }
  return weight;
}

describe('the variants of a linear layer', () => {
  const expectEqual = async (runtime: Runtime, size: Case) => {
    const weight = upload(runtime, size);
    const values = randomValues(size.seed + 99, size.rows * size.inputs);
    using x = runtime.tensor([size.rows, size.inputs], 'f32', 'x', values);
    const results = await computeEach(runtime, () => linear(x, weight, size.normed ? { normEpsilon: 1e-5 } : {}));
    const [[first, expected] = ['', new Float32Array()], ...others] = results;
    for (const [name, y] of others) assert.deepEqual(y, expected, `${name} against ${first}`);
    weight.dispose();
    return [...results.keys()];
  };

  it('give the same bits, each of them', async () => {
    const runtime = await testRuntime();
    await fc.assert(
      fc.asyncProperty(cases, async (size) => {
        await expectEqual(runtime, size);
      }),
      { numRuns: 4 },
    );
  });

  it('give the same bits where threads share a sum, as on a GPU', async () => {
    using runtime = await Runtime.open({ driver: 'swiftshader' });
    Object.defineProperty(runtime, 'traits', { value: { ...runtime.traits, kind: 'gpu' } });
    const size = { dtype: 'int8', rows: 2, inputs: 300, outputs: 40, paired: true, normed: true, seed: 3 } as const;
    const names = await expectEqual(runtime, size);
    assert.match(names[0] ?? '', /SPLIT=8$/);
    for (const many of [
      { ...size, rows: 70, outputs: 70 },
      { ...size, dtype: 'f16', rows: 64, inputs: 172, outputs: 100, paired: false },
    ] as const) {
      const [first] = await expectEqual(runtime, many);
      assert.equal(first, 'workgroup TILE=4 UNITS=4');
    }
  });

  it('give a row the same bits, however many rows there are', async () => {
    const runtime = await testRuntime();
    for (const dtype of ['f32', 'int4'] as const) {
      // 17 blocks in f32, of which 16 rows are a tile on SwiftShader
      const size = {
        dtype,
        rows: 19,
        inputs: 300,
        outputs: dtype === 'f32' ? 520 : 70,
        paired: false,
        normed: true,
        seed: 4,
      };
      const weight = upload(runtime, size);
      const values = randomValues(7, size.rows * size.inputs);
      const run = async (rows: number) => {
        using x = runtime.tensor([rows, size.inputs], 'f32', 'x', values.slice(0, rows * size.inputs));
        return await compute(runtime, () => linear(x, weight, { normEpsilon: 1e-5 }));
      };
      const all = await run(size.rows);
      for (const rows of [1, 2, 3, 11]) {
        assert.deepEqual(await run(rows), all.slice(0, rows * size.outputs), `${rows} rows of ${dtype}`);
      }
      weight.dispose();
    }
  });

  it('fit every adapter, with subgroups or without, and with the least workgroup memory of WebGPU', () => {
    const kinds = ['gpu', 'lavapipe', 'swiftshader', 'browser', 'null', 'caller'] as const;
    for (const kind of kinds) {
      for (const subgroupSize of [undefined, 4, 8, 32, 64]) {
        const adapter: AdapterTraits = {
          kind,
          subgroupSize,
          hasHalfs: false,
          maxWorkgroupBytes: 16384,
          maxWorkgroupThreads: 256,
        };
        for (const rows of [1, 6, 500]) {
          const problem = { rows, inputs: 64, blocks: 2, paired: true, dtype: 'f32' as const };
          const found = candidates(problem, adapter);
          assert.ok(found.length > 0, `${kind}, ${subgroupSize}`);
          assert.equal(new Set(found.map(({ name }) => name)).size, found.length, 'names tell candidates apart');
          const isBroadcast = found.some(({ variant }) => variant === VARIANTS.broadcast);
          assert.equal(isBroadcast, subgroupSize !== undefined && subgroupSize <= 32);
        }
      }
    }
  });
});
