/** What the kernels of the store share: banks of slots, the uniform of a step, and how a workgroup is laid out. */

import type { Tensor } from '../../tensor/tensor.ts';

/** How heads are turned: pairs of neighbors (2p, 2p + 1), or halves (p, p + D / 2). */
export interface Rotation {
  /** cos and sin, f32 [positions, D / 2, 2]. */
  readonly angles: Tensor;
  readonly pairing: 'interleaved' | 'half-split';
}

/** Slots of some rows of one layer. */
export interface SlotBank {
  readonly layer: number;
  readonly firstRow: number;
  readonly rows: number;
  /** [rows, G, D / 4, S, 4]; in int8 words u32 [rows, G, D / 4 + 1, S], see `stored`. */
  readonly keys: Tensor;
  /** [rows, G, S, D]; in int8 words u32 [rows, G, S, D / 4]. */
  readonly values: Tensor;
  /** Position of the token in each slot, u32 [rows, G, S]; of a summary, how many tokens it is the mean of. */
  readonly positions: Tensor;
  /** Sum of the attention observed, f32 [rows, G, S]; absent where no policy asks. */
  readonly scores: Tensor | undefined;
}

export interface AttentionShape {
  readonly rows: number;
  /** With guidance half as many as rows. */
  readonly images: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Slots of a row, in int8 those of the summaries' rests included. */
  readonly slots: number;
  /** Condition tokens: slots [0, condition) of every row. */
  readonly condition: number;
  readonly lineLength: number;
  /** Whether summary slots may be live, which attention weighs by their count. */
  readonly hasSummaries: boolean;
}

/** A token of a step, of every row: one of each line in flight, from the oldest line to the newest. */
export interface StepLane {
  /** Place in the image that key, value and angle are of. */
  readonly token: number;
  /** Where key and value go. */
  readonly slot: number;
  /** Slots [first, end) are the page of its line: dead for older lanes, and from its slot on for the others. */
  readonly first: number;
  readonly end: number;
  /** Place whose id is fed, and place that is drawn; undefined: none. */
  readonly source: number;
  readonly draws: number | undefined;
}

/** What changes with every step; the order is that of `stepStruct`. */
export interface Step {
  /** No slot from here on is live. */
  readonly extent: number;
  /** How many queries' attention the scores are the mean of; 0: this step's are not observed. */
  readonly observed: number;
  /** 1: the scores begin anew with this step. */
  readonly isFresh: number;
  /** With drafts: the first column of the line that is observed. */
  readonly observedFrom?: number;
  /** Live slots that are summaries. */
  readonly summariesFrom: number;
  readonly summariesTo: number;
  /** First slot of the page that leaves at the end of the line. */
  readonly leavingSlot: number;
  /** 1: evicts for the first time, so that the summaries' slots hold tokens. */
  readonly isFirst: number;
  readonly lanes: readonly StepLane[];
}

const HEAD_WORDS = 8;
const LANE_WORDS = 8;

/** A token that draws nothing. */
const NOTHING = 0xffffffff;

export function stepLength(lanes: number): number {
  return HEAD_WORDS + LANE_WORDS * lanes;
}

/** WGSL of a step of so many lanes; kernels that ask for none may bind a longer one. */
export const stepStruct = (lanes = 1) => `
struct Lane { token: u32, slot: u32, first: u32, end: u32, source: u32, draws: u32, observed: u32, spare: u32 }
struct Step {
  token: u32, extent: u32, isFresh: u32, summariesFrom: u32, summariesTo: u32, leavingSlot: u32, isFirst: u32, observedFrom: u32,
  lanes: array<Lane, ${lanes}>,
}`;

/**
 * WGSL: lane `j` of a row. In a step of drafts the step holds the last token that the line feeds; how far an image is, and
 * so which token is the lane's, is in `drawn`, u32 [B]. A lane beyond the last token is dead, and draws nothing.
 */
export const laneOf = (isDrafts: boolean) => (isDrafts ? DRAFT_LANE : LANE);

const LANE = `
fn isDead(lane: Lane) -> bool { return false; }
fn laneOf(row: u32, j: u32) -> Lane { return step.lanes[j]; }`;

const DRAFT_LANE = `
fn isDead(lane: Lane) -> bool { return lane.token > step.lanes[0].token; }
fn laneOf(row: u32, j: u32) -> Lane {
  var lane = step.lanes[0];
  lane.token = drawn[row % sizes.images] + j - 1;
  lane.slot = lane.slot + lane.token - step.lanes[0].token;
  lane.source = min(lane.token, step.lanes[0].token);
  lane.draws = select(lane.token + 1, 0xffffffff, isDead(lane));
  lane.observed = select(0, lane.observed, lane.slot - lane.first >= step.observedFrom);
  return lane;
}`;

export function stepWords(step: Step): Uint32Array<ArrayBuffer> {
  const { extent, observed, isFresh, observedFrom = 0, summariesFrom, summariesTo, leavingSlot, isFirst, lanes } = step;
  const head = [lanes[0]?.token ?? 0, extent, isFresh, summariesFrom, summariesTo, leavingSlot, isFirst, observedFrom];
  // the query of a stand-in, which has no page, is not observed: the token that it stands for will be
  const words = lanes.map(({ token, slot, first, end, source, draws }) => [
    ...[token, slot, first, end, source, draws ?? NOTHING, end > 0 ? observed : 0, 0],
  ]);
  return Uint32Array.from([...head, ...words.flat()]);
}
