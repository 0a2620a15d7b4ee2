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
 * evictions it is off by at most E half units in the last place of the largest value.
 *
 * Three dispatches without a barrier, one thread a candidate or 4 channels: the lists lie in memory, so that no budget is
 * too large for a workgroup, and a driver that compiles for a CPU has little to do. The rank of a candidate is counted
 * against all others: a few hundred candidates make that cheap.
 */

import { type Constants, defineKernel, type Kernel } from '../../tensor/kernel.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { type AttentionShape, type SlotBank, stepStruct } from './slots.ts';

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
  const candidates = [Math.ceil(most / THREADS), kvHeads, rows];
  runtime.dispatch(
    scoreKernel(score),
    { keys, values, positions, ...scores, rowOffsets, ranking, marks, step, sizes },
    scoreConstants(headDim, bank.scores !== undefined),
    candidates,
  );
  runtime.dispatch(chooseKernel, { ranking, marks, step, sizes }, {}, candidates);
  runtime.dispatch(
    settleKernel,
    { keys, values, positions, ...(movesScores && scores), marks, step, sizes },
    { VEC4S: headDim / 4, SUMMARIES: summaries, MOVES_SCORES: movesScores },
    [1, kvHeads, rows],
  );
}

export function scoreConstants(headDim: number, isScored: boolean): Constants {
  return { VEC4S: headDim / 4, SCORED: isScored };
}

const THREADS = 64;

const BINDINGS = {
  keys: 'write vec4',
  values: 'write vec4',
  positions: 'write u32',
  scores: 'write f32',
  rowOffsets: 'read u32',
  ranking: 'write f32',
  marks: 'write u32',
  step: 'uniform Step',
  sizes: 'uniform Sizes',
} as const;

/**
 * Candidates lie in kept slots, at first in those of the summaries too, and in the line that leaves. Of each is noted its
 * token, and what becomes of it; and of each summary how many tokens it had before.
 */
const SHARED = `${stepStruct()}
struct Sizes {
  slots: u32, condition: u32, anchors: u32, survivors: u32, summaries: u32, lineLength: u32, most: u32,
  firstRow: u32, layer: u32,
}
fn inKept() -> u32 { return sizes.survivors + step.isFirst * sizes.summaries; }
fn candidates() -> u32 { return inKept() + sizes.lineLength; }
fn slotOf(index: u32) -> u32 {
  return select(step.leavingSlot + index - inKept(), sizes.condition + sizes.anchors + index, index < inKept());
}
fn summarySlot(b: u32) -> u32 { return sizes.condition + sizes.anchors + sizes.survivors + b; }
fn noted(cell: u32, i: u32) -> u32 { return cell * (2u * sizes.most + sizes.summaries) + i; }
fn fate(cell: u32, i: u32) -> u32 { return noted(cell, sizes.most + i); }
fn before(cell: u32, b: u32) -> u32 { return noted(cell, 2u * sizes.most + b); }
const STAYS = 0xffffffffu; // else the summary that it joins`;

/** The kernel of a score. Its name holds the text, as kernels of the same name and constants are the same. */
export function scoreKernel(score: string): Kernel {
  return defineKernel(
    `score{${score.replace(/\s+/g, ' ').trim()}}`,
    BINDINGS,
    ({ SCORED }) => `${SHARED}
struct Candidate { index: u32, token: u32, line: u32, column: u32${SCORED ? ', attention: f32' : ''} }
var<private> row: u32;
var<private> head: u32;
var<private> cell: u32;
fn candidate(index: u32) -> Candidate {
  let at = cell * sizes.slots + slotOf(index);
  let token = positions[at] + rowOffsets[2 * (sizes.firstRow + row) + 1] - sizes.condition;
  let line = token / sizes.lineLength;
  return Candidate(index, token, line, token - line * sizes.lineLength${SCORED ? ', scores[at]' : ''});
}
fn keyOf(c: Candidate, i: u32) -> vec4f { return keys_at((cell * VEC4S + i) * sizes.slots + slotOf(c.index)); }
fn valueOf(c: Candidate, i: u32) -> vec4f { return values_at((cell * sizes.slots + slotOf(c.index)) * VEC4S + i); }
fn cellOf() -> vec2u { return vec2u(sizes.layer, head); }

${score}

@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  head = id.y;
  row = id.z;
  cell = row * groups.y + head;
  if (id.x >= candidates()) { return; }
  let one = candidate(id.x);
  let chosenBy = score(one);
  let isNan = (bitcast<u32>(chosenBy) & 0x7fffffffu) > 0x7f800000u;
  ranking[cell * sizes.most + id.x] = select(chosenBy, -3.4e38, isNan);
  marks[noted(cell, id.x)] = one.token;
  if (id.x < sizes.summaries) {
    marks[before(cell, id.x)] = select(positions[cell * sizes.slots + summarySlot(id.x)], 0, step.isFirst == 1);
  }
}`,
  );
}

const chooseKernel = /* @__PURE__ */ defineKernel(
  'choose',
  { ranking: 'read f32', marks: 'write u32', step: 'uniform Step', sizes: 'uniform Sizes' },
  () => `${SHARED}
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
    keys: BINDINGS.keys,
    values: BINDINGS.values,
    positions: BINDINGS.positions,
    scores: BINDINGS.scores,
    marks: 'read u32',
    step: BINDINGS.step,
    sizes: BINDINGS.sizes,
  },
  ({ SUMMARIES, MOVES_SCORES }: Constants) => `${SHARED}
fn keyAt(cell: u32, slot: u32, c: u32) -> u32 { return (cell * VEC4S + c) * sizes.slots + slot; }
fn valueAt(cell: u32, slot: u32, c: u32) -> u32 { return (cell * sizes.slots + slot) * VEC4S + c; }
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
    keySums[summary] += keys_at(keyAt(cell, slotOf(i), lane));
    valueSums[summary] += values_at(valueAt(cell, slotOf(i), lane));
  }`
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
    if (joining[b] == 0) { continue; }
    let key = keyAt(cell, slot, lane);
    keys_put(key, joined(keys_at(key), had, keySums[b], joining[b]));
    let value = valueAt(cell, slot, lane);
    values_put(value, joined(values_at(value), had, valueSums[b], joining[b]));
  }`
      : ''
  }
}`,
);
