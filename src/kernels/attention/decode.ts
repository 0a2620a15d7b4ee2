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
 * One workgroup a row, KV head and tile of new tokens, which reads each key and value once for all its queries: the heads of
 * every token. A thread computes whole scores for its own slots, so no reduction stands in the inner loop: see `stored`. Loops
 * over vectors and tokens end at a variable: of a constant drivers unroll them, and compile for seconds. Weights lie in workgroup
 * memory; where they do not fit, or where rows and heads are too few to fill a GPU, the slots are split over workgroups and
 * `combine` joins the parts.
 * Source of the maths: LlamaGen, gpt.py Attention; of the scores: arXiv 2512.04857, inter-line guidance.
 */

import { type Constants, defineKernel, unroll } from '../../tensor/kernel.ts';
import { type AttentionInputs, BINDINGS, common, put } from './append.ts';
import { addScore, combine } from './combine.ts';
import { laneOf } from './slots.ts';
import { keptOf, spanOf, tileOf } from './tiles.ts';

/** Attends from `tokens` new tokens a row of the bank. In a prefill the keys must have been put by `appendPrefill`. */
export function decodeAttention(inputs: AttentionInputs): void {
  const { qkv, bank, shape, tokens, phase, step, drawn, y } = inputs;
  const { runtime } = qkv;
  const group = shape.heads / shape.kvHeads;
  const kept = keptOf(shape);
  const visible = phase === 'decode' ? shape.slots : shape.condition;
  // drafts as one token, so that its bits are those of a step without
  const span = spanOf(visible, shape.kvHeads * (drawn ? 1 : tokens) * bank.rows, kept, runtime.isSoftware);
  const parts = Math.ceil(visible / span);
  const scores = phase === 'decode' ? bank.scores : undefined;
  const { tensors, constants } = common(inputs, span, parts);
  const count = bank.rows * tokens * shape.heads;
  const partial = parts > 1 ? runtime.result([count, parts, shape.headDim + 4], 'f32', 'attention parts') : undefined;
  const weights = parts > 1 && scores ? runtime.result([count, shape.slots], 'f32', 'attention weights') : undefined;
  const isSplit = partial !== undefined;
  const outputs = isSplit ? { partial, ...(weights && { weights }) } : { y, ...(scores && { scores }) };
  const tile = phase === 'decode' ? tileOf(tokens, group, kept, constants, runtime.traits.maxWorkgroupBytes) : 1;
  runtime.dispatch(
    kernel,
    { ...tensors, ...outputs },
    {
      ...constants,
      MOST: kept,
      TILE: tile,
      SLOTS: runtime.isSoftware ? 2 : 1,
      DECODING: phase === 'decode',
      LANES: phase === 'decode' && !drawn ? tokens : 1,
      SCORED: scores !== undefined,
      SPLIT: isSplit,
      SUMMARIES: shape.hasSummaries && phase === 'decode',
    },
    [shape.kvHeads * parts, Math.ceil(tokens / tile), bank.rows],
  );
  if (isSplit) combine({ partial, weights, scores, step, drawn, y, shape, bank, tokens, span, parts });
}

const kernel = /* @__PURE__ */ defineKernel('decodeAttention', BINDINGS, attentionBody);

function attentionBody(constants: Constants): string {
  const { DECODING, DRAFTS, SCORED, SPLIT, SUMMARIES, INT8 } = constants;
  const { HEADS, KV_HEADS, LANES, TILE, SLOTS, DIM, THREADS } = constants as { readonly [name: string]: number };
  const group = HEADS! / KV_HEADS!;
  const vectors = DIM! / 4;
  const lanes = (piece: (j: number) => string) => unroll(TILE!, piece);
  const heads = (piece: (g: number) => string) => unroll(group, piece);
  // queries: the heads of the group, of each lane
  const each = (piece: (q: number, j: number) => string) => lanes((j) => heads((g) => piece(j * group + g, j)));
  // vectors of a value that a thread adds up
  const chunks = (piece: (k: number) => string) => unroll(Math.ceil(vectors / THREADS!), piece);
  // slots of which a thread computes the scores together
  const slots = (piece: (n: number) => string) => unroll(SLOTS!, piece);
  const hole = (j: number, of: number) => {
    const from =
      LANES === 1
        ? `own${j}.slot + 1`
        : `select(step.lanes[${of}].first, step.lanes[${of}].slot + 1, ${of}u <= lane0 + ${j}u)`;
    return `let from${j}_${of} = ${from}; let end${j}_${of} = ${LANES === 1 ? `own${j}` : `step.lanes[${of}]`}.end;`;
  };
  const inNoHole = (j: number) =>
    Array.from({ length: LANES! }, (_, of) => `!(s >= from${j}_${of} && s < end${j}_${of})`).join(' && ');
  const ofStep = `${lanes(
    (j) => `let own${j} = laneOf(row, lane0 + ${j}u);
  ${unroll(LANES!, (of) => hole(j, of))}`,
  )}
  if (isDead(own0)) { return; }
  let live = min(max(step.extent, first) - first, sizes.span);
  for (var j = 0u; j < lane0 + mine; j++) {
    let older = laneOf(row, j);
    if (older.slot - first < live && !isDead(older)) {
      put(lane, cell, row * sizes.tokens + j, head, older.slot, sizes.condition + older.token - shift);
    }
  }`;
  const ofPrompt = `let live = min(max(lane0 + 1, first) - first, sizes.span);`;
  const isLive = (j: number) =>
    DECODING ? `s == own${j}.slot || (s >= start && ${inNoHole(j)})` : 's >= start || s == lane0';
  const ofObserved = (pieces: string) => `
  for (var j = 0u; j < mine; j++) {
    let own = laneOf(row, lane0 + j);
    if (isDead(own) || own.observed == 0) { continue; }
    let at = vec3u(group.x, lane0 + j, group.z);
    ${pieces}
  }`;
  const storeWeights = ofObserved(`for (var i = lane; i < live; i += THREADS) {
      for (var g = 0u; g < GROUP; g++) {
        weights[((at.z * sizes.tokens + at.y) * HEADS + head * GROUP + g) * sizes.slots + first + i] = weight[(j * GROUP + g) * MOST + i];
      }
    }`);
  const addScores =
    ofObserved(`${heads((g) => `let share${g} = 1.0 / (sumOf(j * GROUP + ${g}u) * f32(GROUP * own.observed));`)}
    for (var i = lane; i < live; i += THREADS) {
      let s = first + i;
      if (s < sizes.condition) { continue; }
      var sum = 0.0;
      ${heads((g) => `sum += weight[(j * GROUP + ${g}u) * MOST + i] * share${g};`)}
      addScore(at, groups, head, s, sum);
    }`);
  return `${put(LANES!, constants)}
${laneOf(DRAFTS === true)}
const GROUP = HEADS / KV_HEADS;
const QUERIES = GROUP * TILE;
const PARTS = max(1u, THREADS / VEC4S);
var<workgroup> query: array<vec4f, QUERIES * VEC4S>;
var<workgroup> weight: array<f32, QUERIES * MOST>;
var<workgroup> mosts: array<f32, QUERIES * THREADS>;
var<workgroup> sums: array<f32, QUERIES * PARTS>;
var<workgroup> totals: array<vec4f, QUERIES * PARTS * VEC4S>;
${
  SPLIT
    ? `fn at(q: u32, group: vec3u, part: u32) -> u32 {
  let token = group.z * sizes.tokens + group.y * TILE + q / GROUP;
  return ((token * HEADS + group.x % KV_HEADS * GROUP + q % GROUP) * sizes.parts + part) * (VEC4S + 1u);
}`
    : ''
}
${SCORED && !SPLIT ? addScore(LANES!, DRAFTS === true) : ''}
fn sumOf(q: u32) -> f32 {
  var sum = 0.0;
  for (var i = 0u; i < PARTS; i++) { sum += sums[q * PARTS + i]; }
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
  let lane0 = group.y * TILE;
  let mine = min(u32(TILE), sizes.tokens - lane0);
  let token = row * sizes.tokens + lane0;
  ${DECODING ? ofStep : ofPrompt}
  for (var j = 0u; j < mine; j++) {
    let position = ${DECODING ? 'sizes.condition + laneOf(row, lane0 + j).token - shift' : 'lane0 - min(lane0, shift)'};
    for (var i = lane; i < GROUP * VEC4S; i += THREADS) {
      query[j * GROUP * VEC4S + i] = turned((token + j) * STRIDE + (head * GROUP + i / VEC4S) * VEC4S, position, i % VEC4S);
    }
  }
  storageBarrier();
  workgroupBarrier();

  ${each((q) => `var most${q} = -3.0e38;`)}
  for (var i = lane; i < live; i += SLOTS * THREADS) {
    ${slots((n) => `let s${n} = first + min(i + ${n}u * THREADS, live - 1);`)}
    ${slots((n) => each((q) => `var dot${q}_${n} = 0.0;`))}
    for (var c = 0u; c < sizes.vectors; c++) {
      ${slots((n) => `let k${n} = keys_at(keyAt(cell, s${n}, c));`)}
      ${each((q) => `{ let x = query[${q}u * VEC4S + c]; ${slots((n) => `dot${q}_${n} += dot(k${n}, x);`)} }`)}
    }
    ${slots((n) => `if (i + ${n}u * THREADS < live) { ${each((q) => `weight[${q}u * MOST + i + ${n}u * THREADS] = dot${q}_${n};`)} }`)}
  }
  for (var i = lane; i < live; i += THREADS) {
    let s = first + i;
    ${lanes((j) => `var isLive${j} = ${isLive(j)};`)}
    ${
      SUMMARIES
        ? `var bonus = 0.0;
    if (s >= step.summariesFrom && s < step.summariesTo) {
      let count = positions[cell * sizes.slots + s];
      ${lanes((j) => `isLive${j} = count > 0;`)}
      bonus = log(f32(max(count, 1)));
    }`
        : ''
    }
    let scale = inverseSqrt(f32(DIM))${INT8 ? ' * scales(cell, s).x' : ''};
    ${each(
      (q, j) => `{
      let score = select(-3.0e38, weight[${q}u * MOST + i] * scale${SUMMARIES ? ' + bonus' : ''}, isLive${j});
      weight[${q}u * MOST + i] = score;
      most${q} = max(most${q}, score);
    }`,
    )}
  }
  ${each((q) => `mosts[${q}u * THREADS + lane] = most${q};`)}
  workgroupBarrier();
  for (var i = 0u; i < THREADS; i++) { ${each((q) => `most${q} = max(most${q}, mosts[${q}u * THREADS + i]);`)} }
  for (var i = lane; i < live; i += THREADS) {
    ${each((q) => `{ let w = weight[${q}u * MOST + i]; weight[${q}u * MOST + i] = select(0.0, exp(w - most${q}), w > -3.0e38); }`)}
  }
  workgroupBarrier();
  let p = lane / VEC4S;
  ${chunks((k) => `let c${k} = min(lane % VEC4S + ${k}u * THREADS, VEC4S - 1);`)}
  if (p < PARTS) {
    ${each((q) => `var sum${q} = 0.0; ${chunks((k) => `var total${q}_${k} = vec4f(0.0);`)}`)}
    for (var i = p; i < live; i += PARTS) {
      ${chunks((k) => `let v${k} = valueIn(cell, first + i, c${k});`)}
      ${each((q) => `{ let w = weight[${q}u * MOST + i]; sum${q} += w; ${chunks((k) => `total${q}_${k} += w * v${k};`)} }`)}
    }
    ${each((q) => `sums[${q}u * PARTS + p] = sum${q}; ${chunks((k) => `totals[(${q}u * PARTS + p) * VEC4S + c${k}] = total${q}_${k};`)}`)}
  }
  workgroupBarrier();
  for (var i = lane; i < mine * GROUP * VEC4S; i += THREADS) {
    let q = i / VEC4S;
    var total = totals[q * PARTS * VEC4S + i % VEC4S];
    for (var p = 1u; p < PARTS; p++) { total += totals[(q * PARTS + p) * VEC4S + i % VEC4S]; }
    ${
      SPLIT
        ? 'partial[at(q, group, part) + i % VEC4S] = total;'
        : 'y[((token + q / GROUP) * HEADS + head * GROUP + q % GROUP) * VEC4S + i % VEC4S] = total / sumOf(q);'
    }
  }
  ${SPLIT ? `if (lane == 0) { ${each((q, j) => `if (${j}u < mine) { partial[at(${q}u, group, part) + VEC4S] = vec4f(most${q}, sumOf(${q}u), 0.0, 0.0); }`)} }` : ''}
  ${SCORED ? (SPLIT ? storeWeights : addScores) : ''}
}`;
}
