/** Weights of T5's encoder, under the names of `transformers`. Its tables and norms are no matrices: all else is quantized. */

import { matrix, table, tensor, values, vector } from '../../weights/weight-spec.ts';
import { distanceBias } from './buckets.ts';
import type { T5Config } from './config.ts';

/** An encoder of rows of `tokens` tokens, padding included. */
export function t5Weights(config: T5Config, tokens: number) {
  const { layers, width, vocabulary, heads, buckets, normEpsilon } = config;
  const bias = 'encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight';
  return {
    // a checkpoint holds one of these names, or both with the same values
    embeddings: table({
      name: 'shared.weight',
      otherName: 'encoder.embed_tokens.weight',
      count: vocabulary,
      width,
    }),
    bias: tensor({
      label: bias,
      shape: [heads, 2 * tokens - 1],
      sources: [values({ name: bias, shape: [buckets, heads] })],
      make: (classes) => distanceBias(classes, tokens, config),
    }),
    blocks: Array.from({ length: layers }, (_, layer) => blockWeights(config, `encoder.block.${layer}`)),
    gain: vector('encoder.final_layer_norm.weight', width),
    normEpsilon,
  };
}

function blockWeights({ width, intermediateSize, heads, headDim }: T5Config, at: string) {
  const attention = (name: string) => `${at}.layer.0.SelfAttention.${name}.weight`;
  const dense = (name: string) => `${at}.layer.1.DenseReluDense.${name}.weight`;
  return {
    qkv: matrix({
      name: ['q', 'k', 'v'].map(attention),
      inputs: width,
      outputs: 3 * heads * headDim,
      gain: `${at}.layer.0.layer_norm.weight`,
    }),
    out: matrix({ name: attention('o'), inputs: heads * headDim, outputs: width }),
    gateUp: matrix({
      name: dense('wi_0'),
      up: dense('wi_1'),
      inputs: width,
      outputs: intermediateSize,
      step: 4,
      gain: `${at}.layer.1.layer_norm.weight`,
    }),
    down: matrix({ name: dense('wo'), inputs: intermediateSize, outputs: width }),
  };
}
