/**
 * The encoder of T5 1.1: captions to features. Source: transformers, modeling_t5.py, T5EncoderModel.
 *
 * Activations are f32 throughout, so that the large ones which overflow f16 elsewhere do no harm. Tokens know their places
 * only by the distances between them: padding in front gives the same features as padding behind.
 */

import { encoderAttention } from '../../../kernels/attention/encoder.ts';
import { type EmbeddingTable, embedding } from '../../../kernels/embedding.ts';
import { linear } from '../../../kernels/linear/linear.ts';
import type { LinearWeight } from '../../../kernels/linear/weight.ts';
import { rmsNorm } from '../../../kernels/norm.ts';
import type { Tensor } from '../../../tensor/tensor.ts';

export interface T5Block {
  /** [3 · H · D, C], the gain of the norm before it folded in; likewise `gateUp`. */
  readonly qkv: LinearWeight;
  readonly out: LinearWeight;
  readonly gateUp: LinearWeight;
  readonly down: LinearWeight;
}

export interface T5Encoder {
  readonly embeddings: EmbeddingTable;
  /** f32 [H, 2 T − 1], see `distanceBias`. */
  readonly bias: Tensor;
  readonly blocks: readonly T5Block[];
  /** Of the norm behind the last block, f32 [C]. */
  readonly gain: Tensor;
  readonly normEpsilon: number;
}

/**
 * ids u32 [R · T], padded on the left; leftPadding u32 [R], the first token of each row that is not padding → features
 * [R · T, C], zeros for padding. T is what the encoder was loaded for.
 */
export function encodeText(encoder: T5Encoder, ids: Tensor, leftPadding: Tensor): Tensor {
  const { embeddings, bias, blocks, gain, normEpsilon } = encoder;
  const features = blocks.reduce(
    (x, block) => blockForward(block, x, { bias, leftPadding, normEpsilon }),
    embedding(ids, embeddings),
  );
  return rmsNorm(features, { gain, epsilon: normEpsilon, leftPadding }, 'text features');
}

/** h = x + o(attention(norm(x)));  h + wo(gelu(wi_0 norm(h)) · wi_1 norm(h)) */
function blockForward(
  block: T5Block,
  x: Tensor,
  { bias, leftPadding, normEpsilon }: Pick<T5Encoder, 'bias' | 'normEpsilon'> & { readonly leftPadding: Tensor },
): Tensor {
  const attended = encoderAttention(linear(x, block.qkv, { normEpsilon }), { bias, leftPadding }, 'text attention');
  const h = linear(attended, block.out, { residual: x });
  const inner = linear(h, block.gateUp, { normEpsilon, activation: 'geluTanh' });
  return linear(inner, block.down, { residual: h });
}
