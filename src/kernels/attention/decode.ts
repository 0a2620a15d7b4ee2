/**
 * Attention of new tokens over the slots of a paged store, in one kernel: rotate the new key and query, put key and value
 * into their slot, attend to every live slot, and add each slot's probability to the scores.
 *
 *     y[r, t, h] = Σ_s softmax(q · k_s / √D + log n_s)_s v_s          n_s: tokens in a summary, else 1
 *     score[r, g, s] += mean over the heads h of g of softmax(...)_s / queries observed
 *
 * With lines in parallel a step has several new tokens a row, one of each line in flight: a token sees its own line up to
 * itself, older lines as far as they are fed, this step included, and of newer lines nothing. Its workgroup puts the new keys
 * of older lines too, though their own do: the same bits, so that it does not matter who comes first.
 *
 * One workgroup a row, KV head and new token, which reads each key and value once for all its query heads. A thread
 * computes whole scores for its own slots, so no reduction stands in the inner loop: see `stored`. Weights lie in workgroup
 * memory; where they do not fit, or where rows and heads are too few to fill a GPU, the slots are split over workgroups and
 * `combine` joins the parts.
 * Source of the maths: LlamaGen, gpt.py Attention; of the scores: arXiv 2512.04857, inter-line guidance.
 */

import { type Constants, defineKernel, unroll } from '../../tensor/kernel.ts';
import { type AttentionInputs, BINDINGS, common, put } from './append.ts';
import { addScore, combine } from './combine.ts';
import { laneOf } from './slots.ts';

/** Weights that a workgroup keeps: with the reductions, less than 16 KB at any number of slots. */
const MOST_WEIGHTS = 1024;

/** Workgroups that a GPU wants, and fewest slots that one is worth having for. Not measured on a GPU yet. */
const WANTED_WORKGROUPS = 256;
const LEAST_SPAN = 64;

/** Slots of a workgroup. */
function spanOf(slots: number, workgroups: number, most: number, isSoftware: boolean): number {
  const parts = isSoftware ? 1 : Math.floor(Math.min(WANTED_WORKGROUPS / workgroups, slots / LEAST_SPAN));
  return Math.min(most, Math.ceil(slots / Math.max(1, parts)));
}

/** Attends from `tokens` new tokens a row of the bank. In a prefill the keys must have been put by `appendPrefill`. */
export function decodeAttention(inputs: AttentionInputs): void {
  const { qkv, bank, shape, tokens, phase, step, drawn, y } = inputs;
  const { runtime } = qkv;
  const group = shape.heads / shape.kvHeads;
  const most = Math.max(64, Math.floor(MOST_WEIGHTS / group));
  const visible = phase === 'decode' ? shape.slots : shape.condition;
  // drafts as one token, so that its bits are those of a step without
  const span = spanOf(visible, shape.kvHeads * (drawn ? 1 : tokens) * bank.rows, most, runtime.isSoftware);
  const parts = Math.ceil(visible / span);
  const scores = phase === 'decode' ? bank.scores : undefined;
  const { tensors, constants } = common(inputs, span, parts);
  const count = bank.rows * tokens * shape.heads;
  const partial = parts > 1 ? runtime.result([count, parts, shape.headDim + 4], 'f32', 'attention parts') : undefined;
  const weights = parts > 1 && scores ? runtime.result([count, shape.slots], 'f32', 'attention weights') : undefined;
  const isSplit = partial !== undefined;
  const outputs = isSplit ? { partial, ...(weights && { weights }) } : { y, ...(scores && { scores }) };
  runtime.dispatch(
    kernel,
    { ...tensors, ...outputs },
    {
      ...constants,
      MOST: most,
      DECODING: phase === 'decode',
      LANES: phase === 'decode' && !drawn ? tokens : 1,
      SCORED: scores !== undefined,
      SPLIT: isSplit,
      SUMMARIES: shape.hasSummaries && phase === 'decode',
    },
    [shape.kvHeads * parts, tokens, bank.rows],
  );
  if (isSplit) combine({ partial, weights, scores, step, drawn, y, shape, bank, tokens, span, parts });
}

const kernel = /* @__PURE__ */ defineKernel('decodeAttention', BINDINGS, attentionBody);

function attentionBody(constants: Constants): string {
  const { HEADS, KV_HEADS, DECODING, LANES, DRAFTS, SCORED, SPLIT, SUMMARIES, INT8 } = constants;
  const group = Number(HEADS) / Number(KV_HEADS);
  const lanes = Number(LANES);
  const each = (piece: (g: number) => string) => unroll(group, piece);
  const inNoHole = Array.from({ length: lanes }, (_, j) => `!(s >= from${j} && s < step.lanes[${j}].end)`).join(' && ');
  const from = (j: number) =>
    lanes === 1 ? 'own.slot + 1' : `select(step.lanes[${j}].first, step.lanes[${j}].slot + 1, ${j}u <= group.y)`;
  const ofStep = `let own = laneOf(row, group.y);
  if (isDead(own)) { return; }
  let position = sizes.condition + own.token - shift;
  let live = min(max(step.extent, first) - first, sizes.span);
  for (var j = 0u; j <= group.y; j++) {
    let older = laneOf(row, j);
    if (older.slot - first < live) { put(lane, cell, row * sizes.tokens + j, head, older.slot, sizes.condition + older.token - shift); }
  }
  ${unroll(lanes, (j) => `let from${j} = ${from(j)};`)}`;
  const ofPrompt = `let position = group.y - min(group.y, shift);
  let live = min(max(group.y + 1, first) - first, sizes.span);`;
  const storeWeights = `
  if (own.observed > 0) {
    for (var i = lane; i < live; i += THREADS) {
      ${each((g) => `weights[((group.z * sizes.tokens + group.y) * HEADS + head * GROUP + ${g}u) * sizes.slots + first + i] = weight[${g}u * MOST + i];`)}
    }
  }`;
  const addScores = `
  if (own.observed > 0) {
    ${each((g) => `let share${g} = 1.0 / (sumOf(${g}u) * f32(GROUP * own.observed));`)}
    for (var i = lane; i < live; i += THREADS) {
      let s = first + i;
      if (s < sizes.condition) { continue; }
      var sum = 0.0;
      ${each((g) => `sum += weight[${g}u * MOST + i] * share${g};`)}
      addScore(group, groups, head, s, sum);
    }
  }`;
  return `${put(lanes, constants)}
${laneOf(DRAFTS === true)}
const GROUP = HEADS / KV_HEADS;
const PARTS = THREADS / VEC4S;
var<workgroup> query: array<vec4f, GROUP * VEC4S>;
var<workgroup> weight: array<f32, GROUP * MOST>;
var<workgroup> mosts: array<f32, GROUP * THREADS>;
var<workgroup> sums: array<f32, GROUP * PARTS>;
var<workgroup> totals: array<vec4f, GROUP * THREADS>;
${SPLIT ? `fn at(h: u32, group: vec3u, part: u32) -> u32 { return (((group.z * sizes.tokens + group.y) * HEADS + h) * sizes.parts + part) * (VEC4S + 1u); }` : ''}
${SCORED && !SPLIT ? addScore(lanes, DRAFTS === true) : ''}
fn sumOf(g: u32) -> f32 {
  var sum = 0.0;
  for (var i = 0u; i < PARTS; i++) { sum += sums[g * PARTS + i]; }
  return sum;
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = sizes.firstRow + group.z;
  let head = group.x % KV_HEADS;
  let part = group.x / KV_HEADS;
  let cell = group.z * KV_HEADS + head;
  let start = rowOffsets[2 * row];
  let shift = rowOffsets[2 * row + 1];
  let first = part * sizes.span;
  let token = row * sizes.tokens + group.y;
  ${DECODING ? ofStep : ofPrompt}
  for (var i = lane; i < GROUP * VEC4S; i += THREADS) {
    query[i] = turned(token * STRIDE + (head * GROUP + i / VEC4S) * VEC4S, position, i % VEC4S);
  }
  storageBarrier();
  workgroupBarrier();

  ${each((g) => `var most${g} = -3.0e38;`)}
  for (var i = lane; i < live; i += THREADS) {
    let s = first + i;
    ${each((g) => `var score${g} = -3.0e38;`)}
    var isLive = ${DECODING ? `s == own.slot || (s >= start && ${inNoHole})` : 's >= start || s == group.y'};
    ${
      SUMMARIES
        ? `var bonus = 0.0;
    if (s >= step.summariesFrom && s < step.summariesTo) {
      let count = positions[cell * sizes.slots + s];
      isLive = count > 0;
      bonus = log(f32(max(count, 1)));
    }`
        : ''
    }
    if (isLive) {
      ${each((g) => `var dot${g} = 0.0;`)}
      for (var c = 0u; c < VEC4S; c++) {
        let k = keys_at(keyAt(cell, s, c));
        ${each((g) => `dot${g} += dot(k, query[${g}u * VEC4S + c]);`)}
      }
      ${each((g) => `score${g} = dot${g} * inverseSqrt(f32(DIM))${INT8 ? ' * scales(cell, s).x' : ''}${SUMMARIES ? ' + bonus' : ''};`)}
    }
    ${each((g) => `weight[${g}u * MOST + i] = score${g}; most${g} = max(most${g}, score${g});`)}
  }
  ${each((g) => `mosts[${g}u * THREADS + lane] = most${g};`)}
  workgroupBarrier();
  for (var i = 0u; i < THREADS; i++) { ${each((g) => `most${g} = max(most${g}, mosts[${g}u * THREADS + i]);`)} }
  for (var i = lane; i < live; i += THREADS) {
    ${each((g) => `{ let w = weight[${g}u * MOST + i]; weight[${g}u * MOST + i] = select(0.0, exp(w - most${g}), w > -3.0e38); }`)}
  }
  workgroupBarrier();
  let c = lane % VEC4S;
  if (lane < PARTS * VEC4S) {
    ${each((g) => `var total${g} = vec4f(0.0); var sum${g} = 0.0;`)}
    for (var i = lane / VEC4S; i < live; i += PARTS) {
      let v = valueIn(cell, first + i, c);
      ${each((g) => `{ let w = weight[${g}u * MOST + i]; total${g} += w * v; sum${g} += w; }`)}
    }
    ${each((g) => `totals[${g}u * THREADS + lane] = total${g}; sums[${g}u * PARTS + lane / VEC4S] = sum${g};`)}
  }
  workgroupBarrier();
  for (var i = lane; i < GROUP * VEC4S; i += THREADS) {
    let g = i / VEC4S;
    var total = totals[g * THREADS + i % VEC4S];
    for (var p = 1u; p < PARTS; p++) { total += totals[g * THREADS + p * VEC4S + i % VEC4S]; }
    ${
      SPLIT
        ? 'partial[at(head * GROUP + g, group, part) + i % VEC4S] = total;'
        : 'y[(token * HEADS + head * GROUP + g) * VEC4S + i % VEC4S] = total / sumOf(g);'
    }
  }
  ${SPLIT ? `if (lane == 0) { ${each((g) => `partial[at(head * GROUP + ${g}u, group, part) + VEC4S] = vec4f(most${g}, sumOf(${g}u), 0.0, 0.0);`)} }` : ''}
  ${SCORED ? (SPLIT ? storeWeights : addScores) : ''}
}`;
}
