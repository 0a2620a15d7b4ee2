/** Rows of text tokens as a condition: padded on the left to one length, each row counting its positions from its own start. */

import { type EmbeddingTable, embedding } from '../../kernels/embedding.ts';
import type { Runtime } from '../../tensor/runtime.ts';
import type { Condition } from '../image-model.ts';

/** `rows` are conditional first, then with guidance the unconditional ones, which may be of other lengths. */
export function textCondition(
  runtime: Runtime,
  table: EmbeddingTable,
  images: number,
  rows: readonly (readonly number[])[],
): Condition {
  const tokens = Math.max(...rows.map((ids) => ids.length));
  const padding = rows.map((ids) => tokens - ids.length);
  const padded = rows.flatMap((ids, row) => [...new Array<number>(padding[row]!).fill(0), ...ids]);
  const ids = runtime.tensor([padded.length], 'u32', 'prompt', Uint32Array.from(padded));
  const dispose = () => ids.dispose();
  return {
    images,
    rows: rows.length,
    promptLength: tokens,
    leftPadding: padding,
    positionOffsets: padding,
    embeddings: () => embedding(ids, table),
    dispose,
    [Symbol.dispose]: dispose,
  };
}
