import assert from 'node:assert/strict';
import { KvStore } from '../../src/cache/kv-store.ts';
import { type CacheOptions, planCache } from '../../src/cache/policy.ts';
import { OptionError } from '../../src/tensor/errors.ts';
import { Runtime } from '../../src/tensor/runtime.ts';
import type { GpuShape } from '../support/gpu-inputs.ts';
import { checkAttention, checkHeld, checkSummaries, checkWritten } from '../support/gpu-store-checks.ts';
import { drawImages } from '../support/gpu-store-run.ts';
import { randomValues } from '../support/random.ts';
import { testRuntime } from '../support/runtime.ts';
import { INVARIANTS } from '../support/store-invariants.ts';

const SEED = Date.now() & 0x7fffffff;

const SMALL = {
  layers: 1,
  lines: 7,
  lineLength: 4,
  condition: 2,
  leftPadding: [0, 1],
  images: 1,
  isShifted: false,
  kvHeads: 2,
  group: 1,
  headDim: 12,
  pairing: 'interleaved',
  dtype: 'f32',
  sharpness: 3,
} as const satisfies Omit<GpuShape, 'cache'>;

describe('summaries', () => {
  it('12. where all keys and values of a bin are equal, attention equals the full cache', async () => {
    const [bins, headDim] = [2, 8];
    const { lines, lineLength } = SMALL;
    const draw = async (cache: CacheOptions) => {
      const runtime = await testRuntime();
      const shape = {
        ...{ layers: 1, heads: 1, kvHeads: 1, headDim, lines, lineLength, condition: 1, images: 1 },
        ...{ leftPadding: [0], positionOffsets: [0], dtype: 'f32' as const },
      };
      using store = await KvStore.open(runtime, shape, planCache(cache, shape));
      const still = Float32Array.from({ length: (1 + lines * lineLength) * headDim }, (_, i) => (i + 1) % 2);
      using angles = runtime.tensor([1 + lines * lineLength, headDim / 2, 2], 'f32', 'angles', still);
      using qkv = runtime.tensor([1, 3 * headDim], 'f32', 'qkv');
      const rotation = { angles, pairing: 'interleaved' } as const;
      using prefill = await runtime.record('prefill', () => store.prefill.attend(0, qkv, rotation));
      using step = await runtime.record('step', () => store.decode.attend(0, qkv, rotation));
      const outputs: number[] = [];
      const feed = (query: number, keyAndValue: number) =>
        qkv.write(Float32Array.of(...randomValues(query, headDim), ...randomValues(keyAndValue, 2 * headDim)));
      feed(SEED, SEED);
      prefill.run();
      for (let token = 0; token < lines * lineLength; token++) {
        feed(SEED + 7 * token, SEED + 1 + Math.floor(((token % lineLength) * bins) / lineLength));
        const after = store.advance();
        step.run();
        outputs.push(...(await step.result.read()));
        if (after.length > 0) runtime.run(...after);
      }
      return outputs;
    };

    const full = await draw({});
    const kept = await draw({ policy: 'summary', budgetLines: 3, anchorTokens: 1, summaries: bins });

    // values up to 1 are weighed by exponents of at most √8, each off by some tens of roundings of that
    for (const [i, value] of full.entries())
      assert.ok(Math.abs(kept[i]! - value) < 1e-5, `${i}: ${kept[i]} for ${value}`);
    assert.notDeepEqual(kept, full);
  });

  it('13. none of them is line-ar bit for bit', async () => {
    const runtime = await testRuntime();
    const same = { anchorLines: 1, rowScope: 'row', budgetLines: 4 } as const;
    const draw = async (cache: CacheOptions) =>
      (await drawImages(runtime, { ...SMALL, cache }, [{ seed: SEED }])).images[0]!;

    const none = await draw({ policy: 'summary', summaries: 0, ...same });
    const lineAr = await draw({ policy: 'line-ar', budgetLines: 4 });

    assert.deepEqual(none.outputs, lineAr.outputs);
    for (const [i, cell] of lineAr.cells.entries())
      assert.deepEqual(none.cells[i]!.history.moments, cell.history.moments);
  });

  it('are the same where the two guidance rows of an image, which choose together, lie in two bindings', async () => {
    const shape: GpuShape = { ...SMALL, isShifted: true, cache: { policy: 'summary', budgetLines: 4 } };
    const rowBytes = 4 * SMALL.kvHeads * (SMALL.condition + 4 * SMALL.lineLength) * SMALL.headDim;
    using narrow = await Runtime.open({ driver: 'swiftshader', maxBindingBytes: rowBytes });
    using wide = await Runtime.open({ driver: 'swiftshader' });

    const split = (await drawImages(narrow, shape, [{ seed: SEED }])).images[0]!;
    const whole = (await drawImages(wide, shape, [{ seed: SEED }])).images[0]!;

    assert.deepEqual(split.outputs, whole.outputs);
    for (const [i, { history }] of whole.cells.entries())
      assert.deepEqual(split.cells[i]!.history.moments, history.moments);
  });

  it('are attended to, and scored, where the slots are split over workgroups too', async () => {
    using software = await Runtime.open({ driver: 'swiftshader' });
    using runtime = await Runtime.open({ device: software.device }); // taken for hardware, which has few rows split
    const many = { ...SMALL, lines: 13, lineLength: 11, kvHeads: 1, group: 2, headDim: 4 };
    const shape: GpuShape = { ...many, cache: { policy: 'summary', budgetLines: 12, anchorTokens: 2 } };
    const { images } = await drawImages(runtime, shape, [{ seed: SEED }]);
    for (const cell of images[0]!.cells) {
      for (const check of Object.values(INVARIANTS)) check(cell.history);
      checkHeld(shape, cell);
      checkSummaries(shape, cell);
      checkWritten(shape, images[0]!, cell);
      checkAttention(shape, images[0]!, cell);
    }
  });
});

describe("a caller's policy", () => {
  const store = { ...SMALL, heads: 2, positionOffsets: [0, 0] };

  it('whose score does not compile is refused with the line of its text, before anything is allocated', async () => {
    const runtime = await testRuntime();
    const wrong: readonly (readonly [string, RegExp])[] = [
      ['fn score(c: Candidate) -> f32 {\n  return c.fame;\n}', /in line 2, 'return c\.fame;': .*fame/],
      ['fn score(c: Candidate) -> f32 { return 1u; }', /in line 1, /],
      ['fn rank(c: Candidate) -> f32 { return 1.0; }', /outside its text: .*score/],
      ['fn score(c: Candidate) -> f32 { return c.attention; }', /in line 1, .*attention/],
    ];
    for (const [score, message] of wrong) {
      const before = runtime.counters.buffers;
      const plan = planCache({ policy: { name: 'mine', observe: 'nothing', score }, budgetLines: 4 }, SMALL);
      await assert.rejects(
        KvStore.open(runtime, store, plan),
        (error) =>
          error instanceof OptionError &&
          error.message.startsWith('cache.policy: expected the score of mine to compile, got') &&
          message.test(error.message),
        score,
      );
      assert.equal(runtime.counters.buffers, before);
    }
  });

  it('keeps what it scores best: here the tokens of even columns', async () => {
    const policy = {
      name: 'even columns',
      observe: 'nothing',
      score: 'fn score(c: Candidate) -> f32 { return f32(1 - c.column % 2); }',
    } as const;
    const runtime = await testRuntime();
    using opened = await KvStore.open(runtime, store, planCache({ policy, budgetLines: 5 }, SMALL));
    const { lines, lineLength, condition } = SMALL;
    using angles = runtime.tensor([condition + lines * lineLength, 6, 2], 'f32', 'angles');
    using qkv = runtime.tensor([2, 6 * 12], 'f32', 'qkv');
    const rotation = { angles, pairing: 'interleaved' } as const;
    using step = await runtime.record('step', () => opened.decode.attend(0, qkv, rotation));

    for (let token = 0; token < lines * lineLength; token++) runtime.run(step, ...opened.advance());

    const positions = await opened.banks.positions(0);
    const kept = positions.subarray(condition, condition + 3 * lineLength);
    const columns = [...kept].map((position) => (position - condition) % lineLength);
    // five lines were chosen among, ten tokens of even columns; the newest of the odd ones fill the rest
    assert.equal(columns.filter((column) => column % 2 === 0).length, 10);
  });
});
