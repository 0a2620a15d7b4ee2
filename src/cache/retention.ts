/** Which tokens of an image a store still holds: read from the slots when it is asked for, never in the loop. */

import type { KvStore } from './kv-store.ts';
import type { PageRole } from './page-table.ts';

/** What has become of a token: not fed yet, forgotten, part of a summary, or held as itself. */
export const FATES = { waiting: 0, forgotten: 1, summarized: 2, held: 3 } as const;

/**
 * What is remembered at the end of a line, of every layer, row and KV head. Rows are the images, and with guidance the same
 * again without their prompts.
 *
 * @example
 * await generate(model, {
 *   prompt: { classes: [187] },
 *   cache: { budgetLines: 4 },
 *   onLine: async ({ line, retained }) => {
 *     const { fates, tokens } = await retained();
 *     const ofFirstHead = fates.subarray(0, tokens); // layer 0, row 0, head 0
 *     console.log(line, ofFirstHead.filter((fate) => fate === FATES.held).length);
 *   },
 * });
 */
export interface Retention {
  readonly layers: number;
  readonly rows: number;
  readonly kvHeads: number;
  /** Tokens of an image, ends of lines included. */
  readonly tokens: number;
  /** One of `FATES` a token, [layers, rows, kvHeads, tokens]. */
  readonly fates: Uint8Array<ArrayBuffer>;
  /** Summaries of a layer, row and KV head, and how many tokens each is the mean of, [layers, rows, kvHeads, summaries]. */
  readonly summaries: number;
  readonly counts: Uint32Array<ArrayBuffer>;
  /** What each page of the ring, a line of slots, is for. */
  readonly pages: readonly PageRole[];
}

/** Reads the positions of all slots: 4 bytes a slot, layer, row and KV head. */
export async function readRetention(store: KvStore): Promise<Retention> {
  const { shape, plan, slots, table } = store;
  const { layers, kvHeads, condition, positionOffsets } = shape;
  const rows = positionOffsets.length;
  const tokens = shape.lines * shape.lineLength;
  const pages = [...table.roles];
  // as of now: the table goes on while slots are read
  const heldSlots = Array.from({ length: slots }, (_, slot) => slot).filter((s) => s >= condition && table.isHeld(s));
  const isFed = Array.from({ length: tokens }, (_, token) => table.isFed(token));
  const { from, to } = store.liveSummaries;
  const gone = from < to ? FATES.summarized : FATES.forgotten;
  const fates = new Uint8Array(layers * rows * kvHeads * tokens);
  const counts = new Uint32Array(layers * rows * kvHeads * plan.summaries);
  for (let layer = 0; layer < layers; layer++) {
    const positions = await store.banks.positions(layer);
    for (let cell = 0; cell < rows * kvHeads; cell++) {
      const at = layer * rows * kvHeads + cell;
      const own = fates.subarray(at * tokens, (at + 1) * tokens);
      for (const [token, known] of isFed.entries()) if (known) own[token] = gone;
      const first = condition - positionOffsets[Math.floor(cell / kvHeads)]!;
      for (const slot of heldSlots) {
        const position = positions[cell * slots + slot]!;
        if (slot >= from && slot < to) counts[at * plan.summaries + slot - from] = position;
        else own[position - first] = FATES.held;
      }
    }
  }
  return { layers, rows, kvHeads, tokens, fates, summaries: plan.summaries, counts, pages };
}
