/** Tiny random Janus models: the golden one under the official names, and one under those of `transformers`. */

import { readFileSync } from 'node:fs';
import type { MatrixDtype } from '../../src/kernels/linear/weight.ts';
import { GpuLoader } from '../../src/models/gpu-loader.ts';
import type { JanusConfig } from '../../src/models/janus/config.ts';
import { Janus } from '../../src/models/janus/index.ts';
import { loadJanus } from '../../src/models/janus/load.ts';
import { embed, type JanusLayers, logits } from '../../src/models/janus/model.ts';
import { JANUS_IGNORED, withOfficialNames } from '../../src/models/janus/names.ts';
import type { TextPrompt } from '../../src/models/text/prompt.ts';
import type { Checkpoint } from '../../src/tensor/checkpoint/checkpoint.ts';
import { Weights } from '../../src/tensor/checkpoint/weights.ts';
import type { Runtime } from '../../src/tensor/runtime.ts';
import type { Bare } from './trace.ts';

/** A model to trace, its layers in reach; prompts become rows by the product's own rules. */
export interface BareJanus extends Bare<TextPrompt> {
  readonly model: Janus;
  readonly layers: JanusLayers;
}

export async function loadBareJanus(
  runtime: Runtime,
  checkpoint: Checkpoint,
  config: JanusConfig,
  dtype: MatrixDtype = 'f32',
): Promise<BareJanus> {
  const loader = new GpuLoader(runtime, new Weights(withOfficialNames(checkpoint), JANUS_IGNORED), dtype);
  const layers = await loadJanus(loader, config);
  const model = await Janus.load(runtime, checkpoint, { name: 'tiny', config, dtype });
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
      loader.dispose();
      model.dispose();
    },
  };
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
    positions: 64 + side * side,
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
    positions: 64 + side * side,
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
