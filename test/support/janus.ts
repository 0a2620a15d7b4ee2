/** The golden Janus model: a tiny random one under the official names. */

import { readFileSync } from 'node:fs';
import type { JanusConfig } from '../../src/models/janus/config.ts';

/** The configuration of a golden folder. */
export function janusConfig(folder = 'janus'): JanusConfig {
  const {
    language_config: llama,
    gen_head: head,
    vq,
    grid: side,
    pad_id: padToken,
  } = JSON.parse(readFileSync(`test/golden/${folder}/config.json`, 'utf8'));
  return {
    layers: llama.num_hidden_layers,
    heads: llama.num_attention_heads,
    kvHeads: llama.num_key_value_heads,
    headDim: llama.head_dim,
    width: llama.hidden_size,
    hidden: llama.intermediate_size,
    ropeBase: llama.rope_theta,
    normEpsilon: llama.rms_norm_eps,
    positions: 64 + side * side,
    vocabulary: llama.vocab_size,
    side,
    headWidth: head.image_token_embed,
    vq: {
      codebook: { count: vq.codebook_size, width: vq.codebook_embed_dim, normalised: vq.codebook_l2_norm },
      zChannels: vq.z_channels,
      baseChannels: vq.ch,
      multipliers: vq.ch_mult,
      residualBlocks: vq.num_res_blocks,
    },
    mostPromptTokens: 64,
    padToken,
  };
}
