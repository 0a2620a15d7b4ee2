/** LlamaGen's weights under its checkpoint's names. Source: autoregressive/models/gpt.py. */

import { matrix, table, tensor, values } from '../weights/weight-spec.ts';
import type { LlamaGenConfig } from './config.ts';
import { rotationTable } from './rotation.ts';

/** Tensors that a GPT checkpoint may hold and inference makes itself. */
export const GPT_IGNORED: readonly RegExp[] = [/^freqs_cis$/, /^causal_mask$/, /\.kv_cache\./];

/** What a GPT that holds both kinds of condition has for the other one. */
export const OTHER_CONDITION = {
  class: [/^cls_embedding\.(cap_proj|uncond_embedding)/],
  caption: [/^cls_embedding\.embedding_table\./],
} as const;

export function gptWeights(config: LlamaGenConfig) {
  const { layers, width, vocabulary, heads, side, ropeBase, normEpsilon, condition } = config;
  const promptLength = condition.kind === 'class' ? 1 : condition.tokens;
  const headDim = width / heads;
  return {
    tokens: table({ name: 'tok_embeddings.weight', count: vocabulary, width }),
    blocks: Array.from({ length: layers }, (_, layer) => blockWeights(config, `layers.${layer}`)),
    output: matrix({
      name: 'output.weight',
      inputs: width,
      outputs: vocabulary,
      gain: 'norm.weight',
      unquantized: true,
    }),
    rotation: {
      angles: tensor({
        label: 'rotation',
        shape: [promptLength + side * side, headDim / 2, 2],
        sources: [],
        make: () => rotationTable(promptLength, side, headDim, ropeBase),
      }),
      pairing: 'interleaved',
    },
    normEpsilon,
    condition: conditionWeights(config),
  } as const;
}

function blockWeights({ width, intermediateSize, heads, kvHeads }: LlamaGenConfig, at: string) {
  return {
    qkv: matrix({
      name: `${at}.attention.wqkv.weight`,
      inputs: width,
      outputs: (heads + 2 * kvHeads) * (width / heads),
      gain: `${at}.attention_norm.weight`,
    }),
    out: matrix({ name: `${at}.attention.wo.weight`, inputs: width, outputs: width }),
    gateUp: matrix({
      name: `${at}.feed_forward.w1.weight`,
      up: `${at}.feed_forward.w3.weight`,
      inputs: width,
      outputs: intermediateSize,
      step: 4,
      gain: `${at}.ffn_norm.weight`,
    }),
    down: matrix({ name: `${at}.feed_forward.w2.weight`, inputs: intermediateSize, outputs: width }),
  };
}

function conditionWeights({ condition, width }: LlamaGenConfig) {
  if (condition.kind === 'class') {
    const { kind, classes } = condition;
    return {
      kind,
      table: table({ name: 'cls_embedding.embedding_table.weight', count: classes + 1, width }),
      classes,
    };
  }
  const { kind, tokens, encoder } = condition;
  const projection = (name: string, inputs: number) =>
    matrix({ name: `cls_embedding.cap_proj.${name}.weight`, inputs, outputs: width, unquantized: true });
  return {
    kind,
    unconditional: values({ name: 'cls_embedding.uncond_embedding', shape: [tokens, encoder.width] }),
    fc1: projection('fc1', encoder.width),
    fc2: projection('fc2', width),
    tokens,
    width: encoder.width,
  };
}
