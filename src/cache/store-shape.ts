/** What a store of keys and values holds, in slots and bytes. */

import { ELEMENT_BYTES } from '../tensor/dtype.ts';
import type { CachePlan, KvDtype } from './policy.ts';
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
  /** Of keys and values, where the plan says no other. */
  readonly dtype: KvDtype;
}

/** Slots of one layer, row and KV head; in int8 the last are for what the summaries' own slots lack of them. */
export function storeSlots(plan: CachePlan, lineLength: number, condition: number, dtype: KvDtype): number {
  return condition + plan.budgetLines * lineLength + (dtype === 'int8' ? plan.summaries : 0);
}

/** Bytes of a key, in int8 with its scale and its value's, and of a value. */
function slotBytes({ headDim, dtype }: { readonly headDim: number; readonly dtype: KvDtype }) {
  return dtype === 'int8'
    ? { key: headDim + 4, value: headDim }
    : { key: headDim * ELEMENT_BYTES[dtype], value: headDim * ELEMENT_BYTES[dtype] };
}

/** Lanes whose attention is summed, each by itself; 0: none is. With drafts the sum, and what each column of a line adds to it. */
export function scoredLanes({ observe, window, speculated }: CachePlan, lineLength: number): number {
  if (observe === 'nothing') return 0;
  return speculated > 1 ? 1 + lineLength : linesInFlight({ lineLength, window });
}

/** Bytes of keys and values. */
export function storeBytes(
  shape: {
    readonly layers: number;
    readonly rows: number;
    readonly kvHeads: number;
    readonly headDim: number;
    readonly dtype: KvDtype;
  },
  slots: number,
): number {
  const { key, value } = slotBytes(shape);
  return shape.layers * shape.rows * shape.kvHeads * slots * (key + value);
}

/** The most that one binding has to hold of a row of a layer: its keys, values that take no more, or its scores. */
export function rowBindingBytes(
  shape: { readonly kvHeads: number; readonly headDim: number; readonly dtype: KvDtype },
  slots: number,
  scoredLanes: number,
): number {
  return shape.kvHeads * slots * Math.max(slotBytes(shape).key, 4 * scoredLanes);
}
