/** The first dispatch of a line's end: the candidates, and how much each is worth to the policy. */

import type { Dtype } from '../../tensor/dtype.ts';
import { type Constants, defineKernel, type Kernel } from '../../tensor/kernel.ts';
import { stepStruct } from './slots.ts';
import { storageConstants, stored } from './stored.ts';

export const THREADS = 64;

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
 * WGSL. Candidates lie in kept slots, at first in those of the summaries too, and in the line that leaves. Of each is noted its
 * token, and what becomes of it; and of each summary how many tokens it had before.
 */
export const candidates = () => `${stepStruct()}
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
    (constants) => `${candidates()}${stored(constants)}
struct Candidate { index: u32, token: u32, line: u32, column: u32${constants.SCORED ? ', attention: f32' : ''} }
var<private> row: u32;
var<private> head: u32;
var<private> cell: u32;
fn candidate(index: u32) -> Candidate {
  let at = cell * sizes.slots + slotOf(index);
  let token = positions[at] + rowOffsets[2 * (sizes.firstRow + row) + 1] - sizes.condition;
  let line = token / sizes.lineLength;
  return Candidate(index, token, line, token - line * sizes.lineLength${constants.SCORED ? ', scores[at]' : ''});
}
fn keyOf(c: Candidate, i: u32) -> vec4f { return keyIn(cell, slotOf(c.index), i); }
fn valueOf(c: Candidate, i: u32) -> vec4f { return valueIn(cell, slotOf(c.index), i); }
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

export function scoreConstants(headDim: number, isScored: boolean, dtype: Dtype): Constants {
  return { VEC4S: headDim / 4, SCORED: isScored, ...storageConstants(dtype) };
}
