/**
 * The end of a line: keep the best candidates, move those that lie elsewhere into the holes of the kept slots, and let the
 * evicted join their summaries.
 *
 * Candidates of one (row, KV head) are the tokens of the kept slots that are no anchors, and the leaving page's. The
 * `survivors` of highest score stay, ties go to the later token. Survivors of the leaving page, by ascending slot, fill the
 * holes, by ascending slot (order of filling and ties: ours). After that no live token is left in the leaving page. Source: arXiv
 * 2512.04857. Summary b of k is the mean of the evicted tokens of columns [b W / k, (b + 1) W / k), of keys as turned and
 * of values:
 *
 *     mean += (Σ x − m · mean) / (n + m)          m tokens join n
 *
 * A mean is stored in the slots' dtype. It is rounded once an eviction, and earlier roundings shrink with it: after E
 * evictions it is off by at most E half units in the last place of the largest value. In int8 it lies in its slot as a token
 * does, which is what attention reads, and what that lacks of it, its rest, in a slot behind all others: together off by
 * at most E times 2^-15 of the largest value.
 *
 * Three dispatches without a barrier, those of int8's scales aside, one thread a candidate or 4 channels: the lists lie in
 * memory, so that no budget is too large for a workgroup, and a driver that compiles for a CPU has little to do. The rank of a
 * candidate is counted against all others: a few hundred candidates make that cheap.
 */

import { defineKernel } from '../../tensor/kernel.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { candidates, scoreConstants, scoreKernel, THREADS } from './score.ts';
import type { AttentionShape, SlotBank } from './slots.ts';
import { storageConstants, store, stored } from './stored.ts';

export interface EvictOptions {
  readonly bank: SlotBank;
  readonly step: Tensor;
  readonly rowOffsets: Tensor;
  readonly shape: AttentionShape;
  /** Slots for anchors, survivors and summaries follow the condition in this order. */
  readonly anchors: number;
  readonly survivors: number;
  readonly summaries: number;
  /** WGSL, see `EvictionPolicy.score`. */
  readonly score: string;
  /** Whether scores move with their tokens, because they are not begun anew with every line. */
  readonly movesScores: boolean;
}

export function evict(options: EvictOptions): void {
  const { bank, step, rowOffsets, shape, anchors, survivors, summaries, score, movesScores } = options;
  const { keys, values, positions, rows, firstRow, layer } = bank;
  const { kvHeads, headDim, slots, condition, lineLength } = shape;
  const { runtime } = keys;
  const cells = rows * kvHeads;
  const most = survivors + summaries + lineLength;
  const ranking = runtime.result([cells, most], 'f32', 'ranking');
  const marks = runtime.result([cells, 2 * most + summaries], 'u32', 'marks');
  const sizes = runtime.sizes([slots, condition, anchors, survivors, summaries, lineLength, most, firstRow, layer]);
  const scores = bank.scores && { scores: bank.scores };
  const workgroups = [Math.ceil(most / THREADS), kvHeads, rows];
  runtime.dispatch(
    scoreKernel(score),
    { keys, values, positions, ...scores, rowOffsets, ranking, marks, step, sizes },
    scoreConstants(headDim, bank.scores !== undefined, keys.dtype),
    workgroups,
  );
  runtime.dispatch(chooseKernel, { ranking, marks, step, sizes }, {}, workgroups);
  runtime.dispatch(
    settleKernel,
    { keys, values, positions, ...(movesScores && scores), marks, step, sizes },
    { VEC4S: headDim / 4, SUMMARIES: summaries, MOVES_SCORES: movesScores, ...storageConstants(keys.dtype) },
    [1, kvHeads, rows],
  );
}

const chooseKernel = /* @__PURE__ */ defineKernel(
  'choose',
  { ranking: 'read f32', marks: 'write u32', step: 'uniform Step', sizes: 'uniform Sizes' },
  () => `${candidates()}
@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let cell = id.z * groups.y + id.y;
  let count = candidates();
  if (id.x >= count) { return; }
  let first = cell * sizes.most;
  let own = ranking[first + id.x];
  let token = marks[noted(cell, id.x)];
  var rank = 0u;
  for (var j = 0u; j < count; j++) {
    let other = ranking[first + j];
    rank += u32(other > own || (other == own && marks[noted(cell, j)] > token));
  }
  let joins = token % sizes.lineLength * sizes.summaries / sizes.lineLength;
  marks[fate(cell, id.x)] = select(joins, STAYS, rank < sizes.survivors);
}`,
);

/** One thread for 4 channels of key and value: nothing is overwritten before it was read. What is not a channel is the first's. */
const settleKernel = /* @__PURE__ */ defineKernel(
  'settle',
  {
    keys: 'write vec4',
    values: 'write vec4',
    positions: 'write u32',
    scores: 'write f32',
    marks: 'read u32',
    step: 'uniform Step',
    sizes: 'uniform Sizes',
  },
  (constants) => {
    const { SUMMARIES, MOVES_SCORES, INT8 } = constants;
    const mean = (what: 'keyIn' | 'valueIn') =>
      `${what}(cell, slot, lane)${INT8 ? ` + ${what}(cell, restSlot(b), lane)` : ''}`;
    return `${candidates()}${stored(constants)}${store(constants)}
fn restSlot(b: u32) -> u32 { return sizes.slots - sizes.summaries + b; }
fn joined(mean: vec4f, had: u32, sum: vec4f, count: u32) -> vec4f {
  let old = select(vec4f(0.0), mean, had > 0);
  return old + (sum - f32(count) * old) / f32(had + count);
}

@compute @workgroup_size(VEC4S)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let cell = group.z * groups.y + group.y;
  let count = candidates();
  ${
    SUMMARIES
      ? `var keySums: array<vec4f, SUMMARIES>;
  var valueSums: array<vec4f, SUMMARIES>;
  var joining: array<u32, SUMMARIES>;
  for (var i = 0u; i < count; i++) {
    let summary = marks[fate(cell, i)];
    if (summary == STAYS) { continue; }
    joining[summary]++;
    keySums[summary] += keyIn(cell, slotOf(i), lane);
    valueSums[summary] += valueIn(cell, slotOf(i), lane);
  }
  ${INT8 ? 'storageBarrier();' : ''}`
      : ''
  }
  var hole = 0u;
  for (var i = sizes.survivors; i < count; i++) {
    if (marks[fate(cell, i)] != STAYS) { continue; }
    while (marks[fate(cell, hole)] == STAYS) { hole++; }
    let to = slotOf(hole);
    keys[keyAt(cell, to, lane)] = keys[keyAt(cell, slotOf(i), lane)];
    values[valueAt(cell, to, lane)] = values[valueAt(cell, slotOf(i), lane)];
    if (lane == 0) {
      let first = cell * sizes.slots;
      positions[first + to] = positions[first + slotOf(i)];
      ${INT8 ? 'keys[keyAt(cell, to, VEC4S)] = keys[keyAt(cell, slotOf(i), VEC4S)];' : ''}
      ${MOVES_SCORES ? 'scores[first + to] = scores[first + slotOf(i)];' : ''}
    }
    hole++;
  }
  ${
    SUMMARIES
      ? `for (var b = 0u; b < SUMMARIES; b++) {
    let slot = summarySlot(b);
    let had = marks[before(cell, b)];
    if (lane == 0) { positions[cell * sizes.slots + slot] = had + joining[b]; }
    let key = joined(${mean('keyIn')}, had, keySums[b], joining[b]);
    let value = joined(${mean('valueIn')}, had, valueSums[b], joining[b]);
    let putting = select(VEC4S, lane, joining[b] > 0);
    store(putting, cell, slot, key, value);
    ${
      INT8
        ? `storageBarrier();
    store(putting, cell, restSlot(b), key - keyIn(cell, slot, lane), value - valueIn(cell, slot, lane));`
        : ''
    }
  }`
      : ''
  }
}`;
  },
);
