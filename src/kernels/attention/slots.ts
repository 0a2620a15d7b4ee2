/** What the kernels of the store share: banks of slots, the uniform of a step, and how a workgroup is laid out. */

import type { Tensor } from '../../tensor/tensor.ts';

/** How heads are turned: pairs of neighbors (2p, 2p + 1), or halves (p, p + D / 2). */
export interface Rotation {
  /** cos and sin, f32 [positions, D / 2, 2]. */
  readonly angles: Tensor;
  readonly pairing: 'interleaved' | 'half-split';
}

/** Slots of some rows of one layer. `vec4s` are groups of 4 channels. */
export interface SlotBank {
  readonly layer: number;
  readonly firstRow: number;
  readonly rows: number;
  /** [rows, G, D / 4, S, 4] */
  readonly keys: Tensor;
  /** [rows, G, S, D] */
  readonly values: Tensor;
  /** Position of the token in each slot, u32 [rows, G, S]; of a summary, how many tokens it is the mean of. */
  readonly positions: Tensor;
  /** Sum of the attention observed, f32 [rows, G, S]; absent where no policy asks. */
  readonly scores: Tensor | undefined;
}

export interface AttentionShape {
  readonly rows: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Slots of a row. */
  readonly slots: number;
  /** Condition tokens: slots [0, condition) of every row. */
  readonly condition: number;
  readonly lineLength: number;
  /** Whether summary slots may be live, which attention weighs by their count. */
  readonly hasSummaries: boolean;
}

/** What changes with every token; the order is that of `STEP_STRUCT`. A slot s is live when s < extent and not deadFrom <= s < deadTo. */
export interface Step {
  /** Of the image. */
  readonly token: number;
  /** Where its key and value go. */
  readonly slot: number;
  readonly extent: number;
  readonly deadFrom: number;
  readonly deadTo: number;
  /** How many queries' attention the scores are the mean of; 0: this token's is not observed. */
  readonly observed: number;
  /** 1: the scores begin anew with this token. */
  readonly isFresh: number;
  /** Live slots that are summaries. */
  readonly summariesFrom: number;
  readonly summariesTo: number;
  /** First slot of the page that leaves at the end of the line. */
  readonly leavingSlot: number;
  /** 1: evicts for the first time, so that the summaries' slots hold tokens. */
  readonly isFirst: number;
}

export const STEP_WORDS = 12;

export const STEP_STRUCT = `
struct Step {
  token: u32, slot: u32, extent: u32, deadFrom: u32, deadTo: u32, observed: u32, isFresh: u32,
  summariesFrom: u32, summariesTo: u32, leavingSlot: u32, isFirst: u32, spare: u32,
}`;

export function stepWords(step: Step): Uint32Array<ArrayBuffer> {
  const { token, slot, extent, deadFrom, deadTo, observed, isFresh } = step;
  const { summariesFrom, summariesTo, leavingSlot, isFirst } = step;
  const first = [token, slot, extent, deadFrom, deadTo, observed, isFresh];
  return Uint32Array.of(...first, summariesFrom, summariesTo, leavingSlot, isFirst, 0);
}
