/** LlamaGen's checkpoint names to our layers. */

import type { LayerLoader } from '../layer-loader.ts';
import type { Block } from '../parts/transformer.ts';
import type { ConditionWeights } from './condition.ts';
import type { LlamaGenConfig } from './config.ts';
import type { LlamaGenTransformer } from './model.ts';
import { rotationTable } from './rotation.ts';

/** Tensors that a GPT checkpoint may hold and inference makes itself. */
export const GPT_IGNORED: readonly RegExp[] = [/^freqs_cis$/, /^causal_mask$/, /\.kv_cache\./];

/** What the embedded GPT holds for the other kind of condition. */
const OTHER_CONDITION = {
  class: [/^cls_embedding\.(cap_proj|uncond_embedding)/],
  caption: [/^cls_embedding\.embedding_table\./],
} as const;

export function gptIgnored({ isEmbedded, condition }: LlamaGenConfig): readonly RegExp[] {
  return isEmbedded ? [...GPT_IGNORED, ...OTHER_CONDITION[condition.kind]] : GPT_IGNORED;
}

/** What stays in float when the matrices of the blocks are quantized: the output head and the caption's projection. */
export const GPT_FLOAT: readonly RegExp[] = [/^output\./, /^cls_embedding\./];

export async function loadTransformer(loader: LayerLoader, config: LlamaGenConfig): Promise<LlamaGenTransformer> {
  const { width, vocabulary, heads, side, ropeBase, normEpsilon } = config;
  const condition = config.condition.kind === 'class' ? 1 : config.condition.tokens;
  const headDim = width / heads;
  const tokens = await loader.table({ name: 'tok_embeddings.weight', count: vocabulary, width });
  const blocks: Block[] = [];
  for (let layer = 0; layer < config.layers; layer++) blocks.push(await loadBlock(loader, config, `layers.${layer}`));
  const output = await loader.linear({
    name: 'output.weight',
    inputs: width,
    outputs: vocabulary,
    gain: 'norm.weight',
  });
  const angles = loader.constant('rotation', [condition + side * side, headDim / 2, 2], () =>
    rotationTable(condition, side, headDim, ropeBase),
  );
  return { tokens, blocks, output, rotation: { angles, pairing: 'interleaved' }, normEpsilon };
}

async function loadBlock(loader: LayerLoader, config: LlamaGenConfig, at: string): Promise<Block> {
  const { width, intermediateSize, heads, kvHeads } = config;
  return {
    qkv: await loader.linear({
      name: `${at}.attention.wqkv.weight`,
      inputs: width,
      outputs: (heads + 2 * kvHeads) * (width / heads),
      gain: `${at}.attention_norm.weight`,
    }),
    out: await loader.linear({ name: `${at}.attention.wo.weight`, inputs: width, outputs: width }),
    gateUp: await loader.linear({
      name: `${at}.feed_forward.w1.weight`,
      up: `${at}.feed_forward.w3.weight`,
      inputs: width,
      outputs: intermediateSize,
      gain: `${at}.ffn_norm.weight`,
    }),
    down: await loader.linear({ name: `${at}.feed_forward.w2.weight`, inputs: intermediateSize, outputs: width }),
  };
}

export async function loadCondition(loader: LayerLoader, config: LlamaGenConfig): Promise<ConditionWeights> {
  const { condition, width } = config;
  if (condition.kind === 'class') {
    const { classes } = condition;
    const table = await loader.table({ name: 'cls_embedding.embedding_table.weight', count: classes + 1, width });
    return { kind: 'class', table, classes };
  }
  const { tokens } = condition;
  return {
    kind: 'caption',
    unconditional: await loader.values('cls_embedding.uncond_embedding', [tokens, condition.width]),
    fc1: await loader.linear({ name: 'cls_embedding.cap_proj.fc1.weight', inputs: condition.width, outputs: width }),
    fc2: await loader.linear({ name: 'cls_embedding.cap_proj.fc2.weight', inputs: width, outputs: width }),
    tokens,
    width: condition.width,
  };
}
