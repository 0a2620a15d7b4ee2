/** What stands around LlamaGen's transformer: token embedding and output. Source: autoregressive/models/gpt.py. */

import { type EmbeddingTable, embedding, lastRows } from '../../kernels/embedding.ts';
import { linear } from '../../kernels/linear/linear.ts';
import type { LinearWeight } from '../../kernels/linear/weight.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Transformer } from '../parts/transformer.ts';

export interface LlamaGenTransformer extends Transformer {
  readonly tokens: EmbeddingTable;
  /** The gain of the last norm folded in. */
  readonly output: LinearWeight;
}

/** tokens u32 [B] → [rows, C] */
export function embed(transformer: LlamaGenTransformer, tokens: Tensor, rows: number): Tensor {
  return embedding(tokens, transformer.tokens, rows);
}

/** x [R · T, C] → logits of each row's last token, [R, V] */
export function logits(transformer: LlamaGenTransformer, x: Tensor, tokens: number): Tensor {
  return linear(lastRows(x, tokens), transformer.output, { normEpsilon: transformer.normEpsilon });
}
