/** What a store of keys and values holds, in slots and bytes. */

import { type Dtype, ELEMENT_BYTES } from '../tensor/dtype.ts';
import type { CachePlan } from './policy.ts';
import { linesInFlight } from './wavefront.ts';

export interface StoreShape {
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly lines: number;
  readonly lineLength: number;
  /** Id of the token that ends every line; absent where there is none. */
  readonly lineEnd?: number;
  /** Condition tokens of a row. */
  readonly condition: number;
  /** Images of the batch: with guidance half as many as rows. */
  readonly images: number;
  /** First live condition token, and the one whose position is 0, of each row. */
  readonly leftPadding: readonly number[];
  readonly positionOffsets: readonly number[];
  readonly dtype: Dtype;
}

/** Slots of one layer, row and KV head. */
export function storeSlots(plan: CachePlan, lineLength: number, condition: number): number {
  return condition + plan.budgetLines * lineLength;
}

/** Lanes whose attention is summed, each by itself; 0: none is. With drafts the sum, and what each column of a line adds to it. */
export function scoredLanes({ observe, window, speculated }: CachePlan, lineLength: number): number {
  if (observe === 'nothing') return 0;
  return speculated > 1 ? 1 + lineLength : linesInFlight({ lineLength, window });
}

/** Bytes of keys and values: 2 · layers · rows · KV heads · slots · head dim · element bytes. */
export function storeBytes(
  shape: {
    readonly layers: number;
    readonly rows: number;
    readonly kvHeads: number;
    readonly headDim: number;
    readonly dtype: Dtype;
  },
  slots: number,
): number {
  return 2 * shape.layers * shape.rows * shape.kvHeads * slots * shape.headDim * ELEMENT_BYTES[shape.dtype];
}

/** The most that one binding has to hold of a row of a layer: its keys, values that take as much, or its scores. */
export function rowBindingBytes(
  shape: { readonly kvHeads: number; readonly headDim: number; readonly dtype: Dtype },
  slots: number,
  scoredLanes: number,
): number {
  return Math.max(storeBytes({ ...shape, layers: 1, rows: 1 }, slots) / 2, 4 * scoredLanes * shape.kvHeads * slots);
}
