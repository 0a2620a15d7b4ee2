/** What one image drawn through the GPU store must be by the plain models and by attention in f64. */

import assert from 'node:assert/strict';
import type { CachePlan } from '../../src/cache/policy.ts';
import { attend, rotate } from '../oracle/attention.ts';
import { SlotModel, StoreModel } from '../oracle/store.ts';
import { anglesOf, type GpuShape, positionOffsetsOf, qkvOf } from './gpu-inputs.ts';
import { type GpuCell, type GpuMoment, vectors } from './gpu-recorder.ts';
import type { GpuImage } from './gpu-store-run.ts';
import { halfScale } from './slot-contents.ts';
import type { Held } from './store-invariants.ts';

/** Regions and slots are those of the models, given the scores that the GPU itself chose by. */
export function checkHeld(shape: GpuShape, cell: GpuCell): void {
  const { plan, start } = cell.history;
  const slots = new SlotModel(start.tokens.length);
  slots.slots.splice(0, shape.condition, ...range(shape.condition));
  const page = (index: number) => range(shape.lineLength, shape.condition + index * shape.lineLength);
  const kept = range(plan.survivors, shape.condition + plan.anchorTokens);
  const summaries = range(plan.summaries, shape.condition + plan.anchorTokens + plan.survivors);
  for (const { moment, held, evicted } of modeled(shape, cell)) {
    if (moment.kind === 'token') slots.slots[moment.slot] = shape.condition + moment.token;
    else if (moment.freedPage !== undefined)
      slots.fill(new Set(evicted), kept, [...summaries, ...page(moment.freedPage)]);
    const live = moment.tokens.filter((token) => token >= shape.condition).sort((a, b) => a - b);
    assert.deepEqual(live, held, 'regions');
    assert.deepEqual(moment.tokens, slots.slots, 'slots');
  }
}

/** Keys lie rotated by their position, values as they came, both rounded to the store's dtype. */
export function checkWritten(shape: GpuShape, image: GpuImage, cell: GpuCell): void {
  const { kvHeads, group, headDim, pairing, dtype, condition } = shape;
  const angles = anglesOf(shape);
  // WGSL leaves open which neighbor an f32 is rounded to as f16
  const rounding = (values: ArrayLike<number>) =>
    Array.from(values, (value) =>
      dtype === 'f16' ? 2 ** -10 * Math.abs(value) + 2 ** -24 : dtype === 'int8' ? halfScale(values) : 0,
    );
  const check = (token: number, contents: unknown) => {
    const position = Math.max(token - positionOffsetsOf(shape)[cell.row]!, 0);
    const qkv = qkvOf(shape, image.seed, { ...cell, token });
    const at = (kvHeads * group + cell.head) * headDim;
    const turn = angles.subarray(position * headDim, (position + 1) * headDim);
    const turned = rotate(qkv.subarray(at, at + headDim), turn, pairing);
    const plain = qkv.subarray(at + kvHeads * headDim, at + (kvHeads + 1) * headDim);
    const { key, value } = vectors(contents);
    // a rotation in f32 of values up to 3 √2
    const turning = rounding(turned).map((error) => error + 2 ** -20);
    within(key, turned, turning, `key of token ${token}`);
    within(value, plain, rounding(plain), `value of token ${token}`);
  };
  for (const token of range(condition)) check(token, cell.history.start.contents[token]);
  for (const moment of cell.history.moments)
    if (moment.kind === 'token') check(condition + moment.token, moment.written);
}

/** Each summary is the mean of exactly the tokens that were evicted into it, to within a rounding for each eviction. */
export function checkSummaries(shape: GpuShape, cell: GpuCell): void {
  const written = new Map<number, ReturnType<typeof vectors>>();
  const { dtype, condition } = shape;
  let evictions = 0;
  for (const { moment, joined } of modeled(shape, cell)) {
    if (moment.kind === 'token') written.set(condition + moment.token, vectors(moment.written));
    else if (moment.freedPage !== undefined) evictions++;
    for (const [b, { count, contents }] of moment.summaries.entries()) {
      const tokens = joined[b]!.map((token) => written.get(token)!);
      assert.equal(count, tokens.length);
      if (count === 0) continue;
      const stored = vectors(contents);
      for (const part of ['key', 'value'] as const) {
        const all = tokens.map((token) => token[part]);
        const mean = Array.from(stored[part], (_, i) => all.reduce((sum, x) => sum + x[i]!, 0) / count);
        const largest = Math.max(...all.flatMap((x) => Array.from(x, Math.abs)));
        // WGSL leaves open which neighbor an f32 is rounded to as f16, in int8 a rest has 8 bits more (see `evict`); sums of
        // f32 round once a token, and thrice beside
        const unit = { f32: 0, f16: 2 ** -10, int8: 2 ** -15 }[dtype] + (count + 3) * 2 ** -23;
        const kept = evictions * unit * largest + 2 ** -24;
        // it is read without its rest
        const bound = dtype === 'int8' ? kept + halfScale([...mean, Math.max(...mean.map(Math.abs)) + kept]) : kept;
        within(
          stored[part],
          mean,
          mean.map(() => bound),
          `${part} of summary ${b}`,
        );
      }
    }
  }
}

/** Every token attends to all that the regions hold, and to nothing else; scores are the mean probabilities observed. */
export function checkAttention(shape: GpuShape, image: GpuImage, cell: GpuCell): void {
  const { condition, leftPadding, group } = shape;
  const start = leftPadding[cell.row]!;
  const written = new Map(range(condition).map((token) => [token, vectors(cell.history.start.contents[token])]));
  const heads = range(group, cell.head * group);
  const expect = (token: number, visible: readonly number[], h: number, summaries: Held['summaries'] = []) => {
    const means = summaries.filter(({ count }) => count > 0);
    const seen = [...visible.map((one) => written.get(one)!), ...means.map(({ contents }) => vectors(contents))];
    return attend({
      query: queryOf(shape, image, cell, token, h),
      keys: seen.map(({ key }) => key),
      values: seen.map(({ value }) => value),
      counts: [...visible.map(() => 1), ...means.map(({ count }) => count)],
    });
  };
  for (const token of range(condition)) {
    const visible = range(token + 1).filter((seen) => seen >= start || seen === token);
    for (const h of heads) {
      const { output, outputErrors } = expect(token, visible, h);
      within(outputOf(shape, image, cell, token, h), output, outputErrors, `condition token ${token}, head ${h}`);
    }
  }
  const means = new Map<number, Mean>();
  for (const { moment, before, held } of modeled(shape, cell)) {
    if (moment.kind === 'line') {
      const { observe, budgetLines, window } = cell.history.plan;
      const isWhole = observe !== 'nothing' && observe.queries === 'image';
      const begins = moment.line + Math.ceil(shape.lineLength / window);
      if (isWhole || (observe !== 'nothing' && begins >= budgetLines)) checkScores(moment, before, means, condition);
      means.clear();
      if (isWhole)
        for (const [slot, seen] of before.entries()) means.set(seen, { mean: moment.shared[slot]!, error: 0 });
      continue;
    }
    const token = condition + moment.token;
    written.set(token, vectors(moment.written));
    // of newer lines a token sees nothing
    const end = condition + (Math.floor(moment.token / shape.lineLength) + 1) * shape.lineLength;
    const visible = [...range(condition).filter((seen) => seen >= start), ...held.filter((seen) => seen < end)];
    for (const h of heads) {
      const { output, outputErrors, probabilities, probabilityErrors } = expect(token, visible, h, moment.summaries);
      within(outputOf(shape, image, cell, token, h), output, outputErrors, `image token ${moment.token}, head ${h}`);
      const queries = observedQueries(shape, cell.history.plan, moment.token);
      if (queries === 0) continue;
      for (const [s, seen] of visible.entries()) {
        const { mean, error } = means.get(seen) ?? { mean: 0, error: 0 };
        // the divisions, and one rounding of the growing sum for each query
        const rounding = (probabilities[s]! * (group * queries + 4) + mean * group * queries) * 2 ** -23;
        means.set(seen, {
          mean: mean + probabilities[s]! / (group * queries),
          error: error + (probabilityErrors[s]! + rounding) / (group * queries),
        });
      }
    }
  }
}

interface Mean {
  readonly mean: number;
  readonly error: number;
}

/** Of the image's tokens; nothing else is ever chosen among. */
function checkScores(
  moment: GpuMoment,
  before: readonly number[],
  means: ReadonlyMap<number, Mean>,
  condition: number,
): void {
  const live = before.flatMap((token, slot) => (token >= condition ? [slot] : []));
  const expected = live.map((slot) => means.get(before[slot]!) ?? { mean: 0, error: 0 });
  within(
    live.map((slot) => moment.attention[slot]!),
    expected.map(({ mean }) => mean),
    expected.map(({ error }) => error),
    'scores',
  );
}

/** The moments of a cell with what the regions of the plain model hold after each, in tokens of the sequence. */
function* modeled(shape: GpuShape, cell: GpuCell) {
  const { condition, lineLength } = shape;
  const model = new StoreModel({ ...cell.history.plan, lineLength });
  let before = cell.history.start.tokens;
  for (const moment of cell.history.moments) {
    let evicted: number[] = [];
    if (moment.kind === 'token') model.place(moment.token);
    else {
      const scores = new Map(before.map((token, slot) => [token - condition, moment.scores[slot]!]));
      evicted = moment.scoreError > 0 ? gone(before, moment.tokens) : [];
      // near ties may fall either way: follow the store, whose choice invariant 6 has checked
      const score = (position: number) =>
        moment.scoreError > 0 ? Number(!evicted.includes(condition + position)) : (scores.get(position) ?? 0);
      evicted = model.endLine(score).map((position) => condition + position);
    }
    const held = [...model.held.keys()].map((position) => condition + position).sort((a, b) => a - b);
    const joined = model.joined.map((positions) => positions.map((position) => condition + position));
    yield { moment, before, held, evicted, joined };
    before = moment.tokens;
  }
}

function gone(before: readonly number[], after: readonly number[]): number[] {
  return before.filter((token) => token >= 0 && !after.includes(token));
}

/** How many queries the scores are the mean of, 0 where this token's attention is not observed. */
function observedQueries(
  { lines, lineLength }: GpuShape,
  { observe, budgetLines, window }: CachePlan,
  token: number,
): number {
  // the step that feeds it, and the line that begins with it or next
  const step = Math.floor(token / lineLength) * window + (token % lineLength) + 1;
  const begins = Math.ceil(step / window);
  if (observe === 'nothing' || begins >= lines) return 0;
  if (observe.queries === 'image') return lineLength;
  const queries = observe.queries === 'line' ? lineLength : observe.queries;
  const isLast = begins * window - step < Math.ceil((queries * window) / lineLength);
  return begins >= budgetLines && isLast ? queries : 0;
}

function queryOf(shape: GpuShape, image: GpuImage, cell: GpuCell, token: number, h: number): number[] {
  const { headDim, pairing } = shape;
  const position = Math.max(token - positionOffsetsOf(shape)[cell.row]!, 0);
  const qkv = qkvOf(shape, image.seed, { ...cell, token });
  const angles = anglesOf(shape).subarray(position * headDim, (position + 1) * headDim);
  return rotate(qkv.subarray(h * headDim, (h + 1) * headDim), angles, pairing);
}

function outputOf(shape: GpuShape, image: GpuImage, cell: GpuCell, token: number, h: number): Float32Array {
  const { condition, kvHeads, group, headDim } = shape;
  const inPrefill = token < condition;
  const all = inPrefill ? image.prefill[cell.layer]! : image.outputs[token - condition]![cell.layer]!;
  const line = inPrefill ? cell.row * condition + token : cell.row;
  return all.subarray((line * kvHeads * group + h) * headDim, (line * kvHeads * group + h + 1) * headDim);
}

/** Fails unless every |actual − expected| is within its own bound. */
function within(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  bounds: ArrayLike<number>,
  label: string,
): void {
  assert.equal(actual.length, expected.length, `${label}: length`);
  for (let i = 0; i < expected.length; i++)
    assert.ok(
      Math.abs(actual[i]! - expected[i]!) <= bounds[i]!,
      `${label}[${i}]: expected ${expected[i]} within ${bounds[i]}, got ${actual[i]}`,
    );
}

function range(count: number, first = 0): number[] {
  return Array.from({ length: count }, (_, i) => first + i);
}
