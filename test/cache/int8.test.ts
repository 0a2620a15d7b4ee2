import assert from 'node:assert/strict';
import { KvStore } from '../../src/cache/kv-store.ts';
import { planCache } from '../../src/cache/policy.ts';
import { plan } from '../../src/plan.ts';
import type { GpuShape } from '../support/gpu-inputs.ts';
import { checkAttention, checkHeld, checkSummaries, checkWritten } from '../support/gpu-store-checks.ts';
import { drawImages } from '../support/gpu-store-run.ts';
import { testRuntime } from '../support/runtime.ts';
import { halfScale, keyAndValue } from '../support/slot-contents.ts';
import { INVARIANTS } from '../support/store-invariants.ts';

const SEED = Date.now() & 0x7fffffff;

const SHAPE: GpuShape = {
  ...{ layers: 1, lines: 7, lineLength: 4, condition: 2, leftPadding: [0, 1], images: 1, isShifted: true },
  ...{ kvHeads: 2, group: 1, headDim: 12, pairing: 'half-split', dtype: 'f32', sharpness: 3 },
  cache: { policy: 'summary', budgetLines: 4, kvDtype: 'int8' },
};

/** One head's keys and values at the edges of f32. */
const EDGES: Readonly<Record<string, readonly number[]>> = {
  zeros: [0, 0, 0, 0],
  'one alone': [0, -3, 0, 0],
  large: [3e38, -1e38, 1e36, 0],
  small: [1e-20, -3e-21, 0, 1e-22],
};
const WRONG: Readonly<Record<string, readonly number[]>> = {
  infinite: [1, Number.NEGATIVE_INFINITY, 0, 2],
  'not a number': [1, Number.NaN, 0, 2],
};

describe('keys and values in int8', () => {
  it('are what was given to half a scale for as long as they live, and the means of summaries do not drift', async () => {
    const { images } = await drawImages(await testRuntime(), SHAPE, [{ seed: SEED }]);
    const int8 = { ...SHAPE, dtype: 'int8' } as const;
    for (const cell of images[0]!.cells) {
      for (const check of Object.values(INVARIANTS)) check(cell.history);
      checkHeld(int8, cell);
      checkWritten(int8, images[0]!, cell);
      checkSummaries(int8, cell);
      checkAttention(int8, images[0]!, cell);
    }
    assert.ok(
      images[0]!.cells.every(({ history }) => history.moments.at(-1)!.summaries.some(({ count }) => count > 4)),
    );
  });

  it('keep a head of any size, and what is no number is not taken for one', async () => {
    const runtime = await testRuntime();
    const heads = Object.entries({ ...EDGES, ...WRONG });
    const rows = heads.map(() => 0);
    const shape = {
      ...{ layers: 1, heads: 1, kvHeads: 1, headDim: 4, lines: 1, lineLength: 1, condition: 1, images: rows.length },
      ...{ leftPadding: rows, positionOffsets: rows, dtype: 'f32' as const },
    };
    using store = await KvStore.open(runtime, shape, planCache({ kvDtype: 'int8' }, shape));
    using angles = runtime.tensor([1, 2, 2], 'f32', 'angles', Float32Array.of(1, 0, 1, 0));
    const fed = heads.flatMap(([, head]) => [0, 0, 0, 0, ...head, ...head]);
    using qkv = runtime.tensor([rows.length, 12], 'f32', 'qkv', Float32Array.from(fed));
    using prefill = await runtime.record('prefill', () =>
      store.prefill.attend(0, qkv, { angles, pairing: 'interleaved' }),
    );

    prefill.run();

    const contents = await store.banks.contents(0);
    for (const [cell, [name, head]] of heads.entries()) {
      const both = keyAndValue(contents, { headDim: 4, dtype: 'int8' }, { cell, slot: 0, slots: store.slots });
      for (const [i, stored] of both.entries()) {
        const given = Math.fround(head[i % 4]!);
        if (name in EDGES) assert.ok(Math.abs(stored - given) <= halfScale(head), `${name}: ${stored} for ${given}`);
        else assert.ok(!Number.isFinite(stored), `${name}: ${stored}`);
      }
    }
  });

  it('take 66 bytes a key or value where f16 takes 128, and a slot more for each summary', async () => {
    const bytes = async (cache: object) => (await plan('llamagen-xl-384', { cache })).kvBytes;
    const slots = 1 + 6 * 24;

    assert.equal((await bytes({ kvDtype: 'int8' })) / (await bytes({})), 66 / 128);
    const [some, half] = [await bytes({ budgetLines: 6 }), await bytes({ budgetLines: 6, kvDtype: 'int8' })];
    assert.equal(half / some, ((66 / 128) * (slots + 6)) / slots);
  });
});
