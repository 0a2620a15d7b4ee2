/** Tiny random Janus models: the golden one under the official names, and one under those of `transformers`. */

import { readFileSync } from 'node:fs';
import type { MatrixDtype } from '../../src/kernels/linear/weight.ts';
import type { ImageModel } from '../../src/models/image-model.ts';
import type { JanusConfig } from '../../src/models/janus/config.ts';
import { defineJanus } from '../../src/models/janus/definition.ts';
import { embed, logits } from '../../src/models/janus/model.ts';
import { officialName } from '../../src/models/janus/names.ts';
import { type JanusLayers, janusWeights } from '../../src/models/janus/weights.ts';
import { officialCheckpoint } from '../../src/models/official-names.ts';
import { type ModelOptions, openModel } from '../../src/models/open-model.ts';
import type { TextPrompt } from '../../src/models/text/prompt.ts';
import { loadWeights } from '../../src/models/weights/load-weights.ts';
import type { Checkpoint } from '../../src/tensor/checkpoint/checkpoint.ts';
import type { Runtime } from '../../src/tensor/runtime.ts';
import type { Bare } from './trace.ts';

/** A model to trace, its layers in reach; prompts become rows by the product's own rules. */
export interface BareJanus extends Bare<TextPrompt> {
  readonly model: ImageModel<TextPrompt>;
  readonly layers: JanusLayers;
}

export async function loadBareJanus(
  runtime: Runtime,
  checkpoint: Checkpoint,
  config: JanusConfig,
  dtype: MatrixDtype = 'f32',
): Promise<BareJanus> {
  const official = officialCheckpoint(checkpoint, officialName);
  const { layers, dispose } = await loadWeights(runtime, janusWeights(config), { checkpoint: official, dtype });
  const model = await openJanus(runtime, checkpoint, { config, dtype });
  const { layers: count, heads, kvHeads, headDim, side } = config;
  return {
    runtime,
    model,
    layers,
    grid: { lines: side, lineLength: side },
    geometry: { layers: count, heads, kvHeads, headDim },
    transformer: layers.transformer,
    condition: (prompt, isGuided) => model.condition(prompt, isGuided),
    embed: (tokens, rows) => embed(layers, tokens, rows),
    logits: (x, tokens) => logits(layers, x, tokens),
    dispose: () => {
      dispose();
      model.dispose();
    },
  };
}

/** A model whole, named `tiny`. */
export async function openJanus(
  runtime: Runtime,
  checkpoint: Checkpoint,
  { config, ...options }: ModelOptions & { readonly config: JanusConfig },
): Promise<ImageModel<TextPrompt>> {
  return await openModel(runtime, defineJanus('tiny', config), {
    checkpoints: { checkpoint },
    dtype: 'f32',
    ...options,
  });
}

/** The configuration of the golden model. */
export function janusConfig(): JanusConfig {
  const {
    language_config: llama,
    gen_head: head,
    vq,
    grid: side,
    pad_id: padToken,
  } = JSON.parse(readFileSync('test/golden/janus/config.json', 'utf8'));
  return {
    layers: llama.num_hidden_layers,
    heads: llama.num_attention_heads,
    kvHeads: llama.num_key_value_heads,
    headDim: llama.head_dim,
    width: llama.hidden_size,
    intermediateSize: llama.intermediate_size,
    ropeBase: llama.rope_theta,
    normEpsilon: llama.rms_norm_eps,
    vocabulary: llama.vocab_size,
    side,
    headWidth: head.image_token_embed,
    vq: {
      codebook: { count: vq.codebook_size, width: vq.codebook_embed_dim, normalized: vq.codebook_l2_norm },
      zChannels: vq.z_channels,
      baseChannels: vq.ch,
      multipliers: vq.ch_mult,
      residualBlocks: vq.num_res_blocks,
    },
    mostPromptTokens: 64,
    padToken,
  };
}

/** The configuration of the model that `transformers` saved. */
export function convertedConfig(): JanusConfig {
  const {
    grid: side,
    pad_id: padToken,
    text,
    vq,
  } = JSON.parse(readFileSync('test/golden/janus-converted/config.json', 'utf8'));
  return {
    layers: text.num_hidden_layers,
    heads: text.num_attention_heads,
    kvHeads: text.num_key_value_heads,
    headDim: text.head_dim,
    width: text.hidden_size,
    intermediateSize: text.intermediate_size,
    ropeBase: text.rope_theta,
    normEpsilon: text.rms_norm_eps,
    vocabulary: text.vocab_size,
    side,
    headWidth: vq.projection_dim,
    vq: {
      codebook: { count: vq.num_embeddings, width: vq.embed_dim, normalized: true },
      zChannels: vq.latent_channels,
      baseChannels: vq.base_channels,
      multipliers: vq.channel_multiplier,
      residualBlocks: vq.num_res_blocks,
    },
    mostPromptTokens: 64,
    padToken,
  };
}
