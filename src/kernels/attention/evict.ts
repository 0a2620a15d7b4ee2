/**
 * The end of a line: choose which tokens survive, and move the survivors in the leaving page to free slots of the middle.
 *
 * Candidates of one (row, KV head) are the middle's slots and the leaving page's. The `middleSlots` of highest score stay,
 * ties go to the later position. Survivors of the leaving page, by ascending slot, fill the evicted slots of the middle,
 * by ascending slot. After that no live token is left in the leaving page. Source: arXiv 2512.04857; order of filling and
 * ties (ours).
 *
 * One workgroup a row and KV head. A candidate's rank is the number of candidates that beat it: quadratic, but without
 * sorting and with one barrier, and there are only a few hundred candidates.
 */

import { defineKernel } from '../../tensor/kernel.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { type AttentionShape, type SlotBank, STEP_STRUCT } from './decode.ts';

export interface EvictOptions {
  readonly bank: SlotBank;
  /** The uniform whose `leavingSlot` is the leaving page's first slot. */
  readonly step: Tensor;
  readonly shape: AttentionShape;
  /** First slot of the middle, and how many it has: at least one line's. */
  readonly middleSlot: number;
  readonly middleSlots: number;
  /** 'layer': scores are averaged over the KV heads of a row, so that one selection serves them all. */
  readonly scoreScope: 'head' | 'layer';
}

export function evict({ bank, step, shape, middleSlot, middleSlots, scoreScope }: EvictOptions): void {
  const { keys, values, positions, scores } = bank;
  const constants = {
    KV_HEADS: shape.kvHeads,
    VEC4S: shape.headDim / 4,
    SLOTS: shape.slots,
    LINE: shape.lineLength,
    MIDDLE: middleSlot,
    KEPT: middleSlots,
    BY_LAYER: scoreScope === 'layer',
  };
  keys.runtime.dispatch(kernel, { keys, values, positions, ...(scores && { scores }), step }, constants, [
    shape.kvHeads,
    bank.rows,
  ]);
}

/** Sets the scores of a bank to zero, for the next line. */
export function clearScores(scores: Tensor): void {
  scores.runtime.dispatch(clearKernel, { scores }, { COUNT: scores.count, STRIDE: 64 * 256 }, [
    Math.min(256, Math.ceil(scores.count / 64)),
  ]);
}

const clearKernel = defineKernel(
  'clearScores',
  { scores: 'write f32' },
  `
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) at: vec3u) {
  for (var i = at.x; i < COUNT; i += STRIDE) { scores[i] = 0.0; }
}`,
);

const kernel = defineKernel(
  'evict',
  { keys: 'write vec4', values: 'write vec4', positions: 'write u32', scores: 'read f32', step: 'uniform Step' },
  `${STEP_STRUCT}
const CANDIDATES = KEPT + LINE;
const THREADS = 64;
var<workgroup> score: array<f32, CANDIDATES>;
var<workgroup> place: array<u32, CANDIDATES>;
var<workgroup> kept: array<u32, CANDIDATES>;
var<workgroup> holes: array<u32, LINE>;
var<workgroup> movers: array<u32, LINE>;
var<workgroup> moves: u32;

fn slotOf(candidate: u32) -> u32 {
  if (candidate < KEPT) { return MIDDLE + candidate; }
  return step.leavingSlot + candidate - KEPT;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let cell = group.y * KV_HEADS + group.x;
  for (var i = lane; i < CANDIDATES; i += THREADS) {
    let slot = slotOf(i);
    if (BY_LAYER) {
      var sum = 0.0;
      for (var g = 0u; g < KV_HEADS; g++) { sum += scores[(group.y * KV_HEADS + g) * SLOTS + slot]; }
      score[i] = sum;
    } else {
      score[i] = scores[cell * SLOTS + slot];
    }
    place[i] = positions[cell * SLOTS + slot];
  }
  workgroupBarrier();
  for (var i = lane; i < CANDIDATES; i += THREADS) {
    var rank = 0u;
    for (var j = 0u; j < CANDIDATES; j++) {
      rank += u32(score[j] > score[i] || (score[j] == score[i] && place[j] > place[i]));
    }
    kept[i] = u32(rank < KEPT);
  }
  workgroupBarrier();
  for (var i = lane; i < CANDIDATES; i += THREADS) {
    let inMiddle = i < KEPT;
    if (inMiddle == (kept[i] == 1)) { continue; }
    var index = 0u;
    for (var j = select(KEPT, 0, inMiddle); j < i32(i); j++) { index += u32(inMiddle == (kept[j] == 0)); }
    if (inMiddle) { holes[index] = i; } else { movers[index] = i; }
  }
  if (lane == 0) {
    moves = 0;
    for (var j = u32(KEPT); j < CANDIDATES; j++) { moves += kept[j]; }
  }
  workgroupBarrier();
  let count = workgroupUniformLoad(&moves);
  for (var i = lane; i < count * VEC4S; i += THREADS) {
    let hole = slotOf(holes[i / VEC4S]);
    let mover = slotOf(movers[i / VEC4S]);
    let c = i % VEC4S;
    keys_put((cell * VEC4S + c) * SLOTS + hole, keys_at((cell * VEC4S + c) * SLOTS + mover));
    values_put((cell * SLOTS + hole) * VEC4S + c, values_at((cell * SLOTS + mover) * VEC4S + c));
    if (c == 0) { positions[cell * SLOTS + hole] = place[movers[i / VEC4S]]; }
  }
}`,
);
