/** How attention is cut up: slots into spans, new tokens into tiles, a workgroup into threads. */

import type { Dtype } from '../../tensor/dtype.ts';
import type { AttentionShape } from './slots.ts';

/** Threads of a workgroup: on software drivers a subgroup, as they pay for reductions over more; a GPU wants many in flight. */
export function attentionThreads(
  { headDim, heads, kvHeads }: AttentionShape,
  dtype: Dtype,
  isSoftware: boolean,
): number {
  const vectors = 2 ** Math.ceil(Math.log2(headDim / 4));
  if (isSoftware) return dtype === 'u32' ? Math.max(8, vectors) : 8;
  return Math.max(32, 128 / 2 ** Math.ceil(Math.log2(heads / kvHeads)), vectors);
}

/** Workgroups that a GPU wants, and fewest slots that one is worth having for. Not measured on a GPU yet. */
const WANTED_WORKGROUPS = 256;
const LEAST_SPAN = 64;

/** Queries of a workgroup, unless a KV head has more: each is unrolled, which drivers take long to compile. */
const MOST_QUERIES = 5;

/** Weights that a workgroup keeps: with the reductions, less than 16 KB at any number of slots. */
const MOST_WEIGHTS = 1024;
/** Room for a prompt of words: another length of it needs no other pipeline. A class is one token. */
const PROMPT = 256;

/** Slots whose weights a workgroup keeps, of each query. */
export function keptOf({ slots, condition, heads, kvHeads }: AttentionShape): number {
  const wanted = slots - condition + (condition > 1 ? PROMPT : 1);
  return Math.min(Math.max(64, Math.floor((MOST_WEIGHTS * kvHeads) / heads)), 2 ** Math.ceil(Math.log2(wanted)));
}

/** Slots of a workgroup. */
export function spanOf(slots: number, workgroups: number, most: number, isSoftware: boolean): number {
  const parts = isSoftware ? 1 : Math.floor(Math.min(WANTED_WORKGROUPS / workgroups, slots / LEAST_SPAN));
  return Math.min(most, Math.ceil(slots / Math.max(1, parts)));
}

/** New tokens of a row that a workgroup attends from. */
export function tileOf(tokens: number, group: number, most: number, constants: Sized, maxBytes: number): number {
  const { DIM, THREADS } = constants;
  const bytes = 4 * (most + DIM + THREADS + partsOf(constants) * (DIM + 1)); // of a query
  const fit = Math.floor(Math.min(maxBytes / bytes, MOST_QUERIES) / group);
  return Math.ceil(tokens / Math.ceil(tokens / Math.max(1, fit)));
}

interface Sized {
  readonly DIM: number;
  readonly THREADS: number;
}

/** Slots whose values a workgroup adds at once. */
function partsOf({ DIM, THREADS }: Sized): number {
  return Math.max(1, Math.floor((4 * THREADS) / DIM));
}
