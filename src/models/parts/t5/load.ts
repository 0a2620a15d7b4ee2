/** T5's checkpoint names, those of `transformers`, to our layers. */

import type { LayerLoader } from '../../layer-loader.ts';
import { distanceBias } from './buckets.ts';
import type { T5Config } from './config.ts';
import type { T5Block, T5Encoder } from './model.ts';

/** Names of the embedding table; a checkpoint holds one of them, or both with the same values. */
export const EMBEDDING_NAMES = ['shared.weight', 'encoder.embed_tokens.weight'] as const;

/** An encoder of rows of `tokens` tokens, padding included. */
export async function loadT5Encoder(
  loader: LayerLoader,
  config: T5Config,
  tokens: number,
  embeddingName: (typeof EMBEDDING_NAMES)[number] = 'shared.weight',
): Promise<T5Encoder> {
  const { width, vocabulary, heads, buckets, normEpsilon } = config;
  const embeddings = await loader.table({ name: embeddingName, count: vocabulary, width });
  const name = 'encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight';
  const table = await loader.values(name, [buckets, heads]);
  const bias = loader.constant(name, [heads, 2 * tokens - 1], () => distanceBias(table, tokens, config));
  const blocks: T5Block[] = [];
  for (let layer = 0; layer < config.layers; layer++)
    blocks.push(await loadBlock(loader, config, `encoder.block.${layer}`));
  const gain = await loader.vector('encoder.final_layer_norm.weight', width);
  return { embeddings, bias, blocks, gain, normEpsilon };
}

async function loadBlock(loader: LayerLoader, config: T5Config, at: string): Promise<T5Block> {
  const { width, intermediateSize, heads, headDim } = config;
  const attention = (name: string) => `${at}.layer.0.SelfAttention.${name}.weight`;
  const dense = (name: string) => `${at}.layer.1.DenseReluDense.${name}.weight`;
  return {
    qkv: await loader.linear({
      name: ['q', 'k', 'v'].map(attention),
      inputs: width,
      outputs: 3 * heads * headDim,
      gain: `${at}.layer.0.layer_norm.weight`,
    }),
    out: await loader.linear({ name: attention('o'), inputs: heads * headDim, outputs: width }),
    gateUp: await loader.linear({
      name: dense('wi_0'),
      up: dense('wi_1'),
      inputs: width,
      outputs: intermediateSize,
      gain: `${at}.layer.1.layer_norm.weight`,
    }),
    down: await loader.linear({ name: dense('wo'), inputs: intermediateSize, outputs: width }),
  };
}
