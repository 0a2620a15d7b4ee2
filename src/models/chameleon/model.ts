/** What stands around Lumina-mGPT's transformer. Source: model/chameleon/modeling_chameleon.py. */

import { type EmbeddingTable, embedding, lastRows } from '../../kernels/embedding.ts';
import { linear } from '../../kernels/linear/linear.ts';
import type { LinearWeight } from '../../kernels/linear/weight.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Transformer } from '../parts/transformer.ts';

export interface ChameleonLayers {
  readonly tokens: EmbeddingTable;
  readonly transformer: Transformer;
  /** Rows of the image tokens alone, the gain of the last norm folded in. */
  readonly head: LinearWeight;
}

/** tokens u32 [B] → [rows, C] */
export function embed({ tokens: table }: ChameleonLayers, tokens: Tensor, rows: number): Tensor {
  return embedding(tokens, table, rows);
}

/** x [R · T, C] → logits of the image tokens, of each row's last token, [R, codes] */
export function logits({ transformer, head }: ChameleonLayers, x: Tensor, tokens: number): Tensor {
  return linear(lastRows(x, tokens), head, { normEpsilon: transformer.normEpsilon });
}
