import assert from 'node:assert/strict';
import fc from 'fast-check';
import { KvStore } from '../../src/cache/kv-store.ts';
import { PageTable } from '../../src/cache/page-table.ts';
import { planCache } from '../../src/cache/policy.ts';
import { Runtime } from '../../src/tensor/runtime.ts';
import { attend, rotate } from '../oracle/attention.ts';
import { keepBest, SlotModel } from '../oracle/store.ts';
import { close } from '../support/close.ts';
import { randomValues } from '../support/random.ts';
import { testRuntime } from '../support/runtime.ts';

const shapes = fc.record({
  lines: fc.integer({ min: 4, max: 7 }),
  lineLength: fc.integer({ min: 2, max: 5 }),
  condition: fc.integer({ min: 1, max: 3 }),
  starts: fc.array(fc.nat({ max: 2 }), { minLength: 1, maxLength: 3 }),
  kvHeads: fc.integer({ min: 1, max: 2 }),
  group: fc.integer({ min: 1, max: 2 }),
  headDim: fc.constantFrom(4, 12, 100),
  pairing: fc.constantFrom('adjacent' as const, 'halves' as const),
  dtype: fc.constantFrom('f16' as const, 'f32' as const),
  budgetLines: fc.integer({ min: 3, max: 6 }),
  scoreScope: fc.constantFrom('head' as const, 'layer' as const),
  seed: fc.nat(),
});
type Shape = typeof shapes extends fc.Arbitrary<infer T> ? T : never;

/** Draws one image of random keys, queries and values through the store, and checks it against the plain models. */
async function check(runtime: Runtime, shape: Shape): Promise<void> {
  const { lines, lineLength, condition, kvHeads, group, headDim, pairing, dtype, seed } = shape;
  const starts = shape.starts.map((start) => Math.min(start, condition - 1));
  const [rows, heads, count] = [starts.length, kvHeads * group, lines * lineLength];
  const width = (heads + 2 * kvHeads) * headDim;
  const plan = planCache({ policy: 'linear', budgetLines: shape.budgetLines, scoreScope: shape.scoreScope }, lines);
  const turns = randomValues(seed + 5, ((condition + count) * headDim) / 2);
  const angles = Float32Array.from({ length: (condition + count) * headDim }, (_, i) =>
    (i % 2 ? Math.sin : Math.cos)(3 * turns[i >> 1]!),
  );
  using table = runtime.tensor([condition + count, headDim / 2, 2], 'f32', 'angles', angles);
  const geometry = { layers: 1, heads, kvHeads, headDim, lines, lineLength, condition, starts, shifts: starts, dtype };
  using store = await KvStore.open(runtime, geometry, plan);
  using prefixInput = runtime.tensor(
    [rows * condition, width],
    'f32',
    'prefix',
    randomValues(seed, rows * condition * width),
  );
  using input = runtime.tensor([rows, width], 'f32', 'qkv');
  const rotation = { angles: table, pairing };
  using prefix = await runtime.record('prefix', () => store.prefix.attend(0, prefixInput, rotation));
  using step = await runtime.record('step', () => store.line.attend(0, input, rotation));
  const shadow = new PageTable(plan, { lines, lineLength, conditionTokens: condition });
  const cells = Array.from({ length: rows * kvHeads }, () => new SlotModel(store.slots));
  const written = cells.map(() => new Map<number, number[]>());
  const sums = cells.map(() => new Float64Array(store.slots));
  const buffersBefore = runtime.counters.buffers;
  const programs = runtime.liveBytes;
  prefix.run();

  for (let token = 0; token < count - 1; token++) {
    const qkv = randomValues(seed + 31 * token + 17, rows * width).map((v) => 3 * v);
    input.write(qkv);
    const after = store.place(token);
    const placement = shadow.place(token);
    step.run();
    const output = (await step.result.read()) as Float32Array;
    const { keys, values } = await store.contents(0);
    const positions = await store.positions(0);
    const keyIn = (cell: number, slot: number) =>
      Array.from(
        { length: headDim },
        (_, i) => keys[((cell * (headDim / 4) + (i >> 2)) * store.slots + slot) * 4 + (i % 4)]!,
      );
    const valueIn = (cell: number, slot: number) =>
      Array.from(values.subarray((cell * store.slots + slot) * headDim, (cell * store.slots + slot + 1) * headDim));

    for (const [cell, model] of cells.entries()) {
      const [row, head] = [Math.floor(cell / kvHeads), cell % kvHeads];
      const position = condition + token - starts[row]!;
      model.slots[placement.slot] = position;
      written[cell]!.set(position, [...keyIn(cell, placement.slot), ...valueIn(cell, placement.slot)]);
      const turn = angles.subarray(position * headDim, (position + 1) * headDim);
      const raw = qkv.subarray(row * width + (heads + head) * headDim, row * width + (heads + head + 1) * headDim);
      const half = dtype === 'f16' ? 2 ** -10 : 2 ** -22;
      close(keyIn(cell, placement.slot), rotate(raw, turn, pairing), { absolute: 6 * half }, 'key as stored');
      const live = Array.from({ length: placement.extent }, (_, s) => s).filter(
        (s) => s >= starts[row]! && (s < placement.deadFrom || s >= placement.deadTo),
      );
      for (const slot of live) {
        if (slot < condition) continue;
        assert.equal(
          positions[cell * store.slots + slot],
          model.slots[slot],
          `token ${token}, cell ${cell}, slot ${slot}`,
        );
        // invariant 4: what lies in the slot is what was written for its position, wherever it has moved
        assert.deepEqual([...keyIn(cell, slot), ...valueIn(cell, slot)], written[cell]!.get(model.slots[slot]!));
      }
      assert.equal(live.filter((slot) => slot >= condition).length, model.slots.filter((p) => p >= 0).length);
      for (let h = head * group; h < (head + 1) * group; h++) {
        const query = rotate(qkv.subarray(row * width + h * headDim, row * width + (h + 1) * headDim), turn, pairing);
        const expected = attend({
          query,
          keys: live.map((slot) => keyIn(cell, slot)),
          values: live.map((slot) => valueIn(cell, slot)),
        });
        const at = (row * heads + h) * headDim;
        // scores up to 9 √D in f32: an error of 2^-22 of that in the exponent, of values up to 3
        const absolute = 2 ** -20 * 9 * headDim;
        close(output.subarray(at, at + headDim), expected.output, { absolute }, `output of token ${token}, head ${h}`);
        for (const [i, slot] of live.entries()) sums[cell]![slot]! += expected.probabilities[i]! / (group * lineLength);
      }
    }
    if ((token + 1) % lineLength !== 0) continue;
    const scores = plan.scored ? await store.scores(0) : new Float32Array();
    const end = shadow.endLine();
    if (after.length > 0) runtime.run(...after);
    const visible = (cell: number) => cells[cell]!.slots.flatMap((p, slot) => (p >= 0 ? [slot] : []));
    const range = (first: number, length: number) => Array.from({ length }, (_, i) => first + i);
    for (const [cell, model] of cells.entries()) {
      const row = Math.floor(cell / kvHeads);
      if (plan.scored) {
        const own = visible(cell);
        close(
          own.map((slot) => scores[cell * store.slots + slot]!),
          own.map((slot) => sums[cell]![slot]!),
          { absolute: 2 ** -18, relative: 1e-4 },
          'scores',
        );
      }
      if (end.kind === 'none') continue;
      const scope = shape.scoreScope === 'layer' ? range(row * kvHeads, kvHeads) : [cell];
      const middle = range(end.middleSlot, end.middleSlots);
      const leaving = range(end.leavingSlot, lineLength);
      // the shader's own order of summing, so that equal sums stay equal
      const score = (slot: number) =>
        scope.reduce((sum, c) => Math.fround(sum + (plan.scored ? scores[c * store.slots + slot]! : 0)), 0);
      const kept = keepBest(
        [...middle, ...leaving].map((slot) => ({ position: model.slots[slot]!, score: score(slot) })),
        middle.length,
      );
      const gone = [...middle, ...leaving].map((slot) => model.slots[slot]!).filter((position) => !kept.has(position));
      model.fill(new Set(gone), middle, leaving);
    }
    for (const sum of sums) sum.fill(0);
    if (plan.scored)
      assert.ok(
        (await store.scores(0)).every((score) => score === 0),
        'scores after the line end',
      );
  }
  const readBacks = runtime.counters.buffers - buffersBefore;
  assert.equal(runtime.liveBytes, programs, `the store allocated (${readBacks} read-backs aside)`);
}

describe('KvStore on the GPU', () => {
  it('1 to 7: holds, moves, scores and attends as the plain models do', async () => {
    const runtime = await testRuntime();
    await fc.assert(
      fc.asyncProperty(shapes, (shape) => check(runtime, shape)),
      { numRuns: 30 },
    );
  });

  it('does so with rows split over several bindings', async () => {
    using narrow = await Runtime.open({ driver: 'swiftshader', maxBindingBytes: 4096 });
    const shape: Shape = {
      lines: 6,
      lineLength: 4,
      condition: 2,
      starts: [0, 1, 0],
      kvHeads: 2,
      group: 2,
      headDim: 12,
      pairing: 'adjacent',
      dtype: 'f32',
      budgetLines: 4,
      scoreScope: 'head',
      seed: 77,
    };
    await check(narrow, shape);
  });

  it('8. permuting rows permutes results', async () => {
    const runtime = await testRuntime();
    const [width, rows, count] = [3 * 8, 3, 5 * 3];
    const inputs = Array.from({ length: count }, (_, token) =>
      Array.from({ length: rows }, (_, row) => randomValues(100 * token + row, width)),
    );
    const angles = Float32Array.from({ length: (1 + count) * 8 }, (_, i) => (i % 2 ? 0 : 1));
    using table = runtime.tensor([1 + count, 4, 2], 'f32', 'angles', angles);
    const run = async (order: readonly number[]) => {
      const geometry = {
        layers: 1,
        heads: 1,
        kvHeads: 1,
        headDim: 8,
        lines: 5,
        lineLength: 3,
        condition: 1,
        starts: [0, 0, 0],
        shifts: [0, 0, 0],
        dtype: 'f32' as const,
      };
      using store = await KvStore.open(runtime, geometry, planCache({ budgetLines: 4 }, 5));
      using input = runtime.tensor([rows, width], 'f32', 'qkv');
      using prefix = await runtime.record('prefix', () =>
        store.prefix.attend(0, input, { angles: table, pairing: 'halves' }),
      );
      using step = await runtime.record('step', () =>
        store.line.attend(0, input, { angles: table, pairing: 'halves' }),
      );
      const draw = async () => {
        const outputs: number[][] = [];
        input.write(new Float32Array(rows * width));
        prefix.run();
        for (const [token, given] of inputs.entries()) {
          if (token === count - 1) break;
          input.write(Float32Array.from(order.flatMap((row) => [...given[row]!])));
          runtime.run(step, ...store.place(token));
          const output = await step.result.read();
          outputs.push(
            order.flatMap((_, at) => [...output.subarray(8 * order.indexOf(at), 8 * order.indexOf(at) + 8)]),
          );
        }
        return outputs;
      };
      const first = await draw();
      store.reset();
      assert.deepEqual(await draw(), first, '9. a store reset between images behaves like a new one');
      return first;
    };
    assert.deepEqual(await run([2, 0, 1]), await run([0, 1, 2]));
  });
});
