/** What stands around Janus-Pro's transformer. Source: janus/models/modeling_vlm.py, vision_head, prepare_gen_img_embeds. */

import { type EmbeddingTable, embedding, lastRows } from '../../kernels/embedding.ts';
import { linear } from '../../kernels/linear/linear.ts';
import type { LinearWeight } from '../../kernels/linear/weight.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Transformer } from '../parts/transformer.ts';
import type { VqDecoder } from '../parts/vq/decoder.ts';

export interface JanusLayers {
  readonly text: EmbeddingTable;
  readonly transformer: Transformer;
  /** The generation head; the gain of the last norm folded into its first layer. */
  readonly headIn: LinearWeight;
  readonly headOut: LinearWeight;
  /** Code vectors that are fed, not those that are decoded. */
  readonly codes: EmbeddingTable;
  readonly alignIn: LinearWeight;
  readonly alignOut: LinearWeight;
  readonly vq: VqDecoder;
}

/** tokens u32 [B] → alignOut(gelu(alignIn(codes[token]))), [rows, C] */
export function embed({ codes, alignIn, alignOut }: JanusLayers, tokens: Tensor, rows: number): Tensor {
  return linear(linear(embedding(tokens, codes, rows), alignIn, { activation: 'geluErf' }), alignOut);
}

/** x [R · T, C] → headOut(gelu(headIn(norm(x)))) of each row's last token, [R, V] */
export function logits({ transformer, headIn, headOut }: JanusLayers, x: Tensor, tokens: number): Tensor {
  const { normEpsilon } = transformer;
  return linear(linear(lastRows(x, tokens), headIn, { normEpsilon, activation: 'geluErf' }), headOut);
}
