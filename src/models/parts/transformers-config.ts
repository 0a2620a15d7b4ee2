/** What a config.json of `transformers` says, under our names. Values are checked where the configuration is read. */

import { FormatError } from '../../tensor/errors.ts';

/** A config.json, or a section of one. What equals the library's own default may be left out of it. */
export type TransformersConfig = Readonly<Record<string, unknown>>;

export function section(config: TransformersConfig, name: string): TransformersConfig {
  const found = config[name];
  return typeof found === 'object' && found !== null ? (found as TransformersConfig) : {};
}

/** Source: transformers, configuration_llama.py, whose defaults these are. Throws FormatError for what we do not compute. */
export function llamaFromTransformers(config: TransformersConfig) {
  const { hidden_act: activation = 'silu', rope_scaling: scaling = null } = config;
  if (activation !== 'silu') throw new FormatError(`config.json: expected hidden_act silu, got ${String(activation)}`);
  if (scaling !== null) throw new FormatError(`config.json: expected no rope_scaling, got ${JSON.stringify(scaling)}`);
  const { hidden_size: width = 4096, num_attention_heads: heads = 32 } = config;
  return {
    layers: config.num_hidden_layers ?? 32,
    heads,
    kvHeads: config.num_key_value_heads ?? heads,
    headDim: config.head_dim ?? Number(width) / Number(heads),
    width,
    intermediateSize: config.intermediate_size ?? 11008,
    ropeBase: config.rope_theta ?? section(config, 'rope_parameters').rope_theta ?? 10000,
    normEpsilon: config.rms_norm_eps ?? 1e-6,
  };
}

/** Sources: transformers, configuration_janus.py and configuration_chameleon.py; older files have the second names. */
export function vqFromTransformers(config: TransformersConfig, { count, width }: { count: number; width: number }) {
  return {
    codebook: {
      count: config.num_embeddings ?? config.n_embed ?? count,
      width: config.embed_dim ?? width,
    },
    zChannels: config.latent_channels ?? config.z_channels ?? 256,
    baseChannels: config.base_channels ?? config.ch ?? 128,
    multipliers: config.channel_multiplier ?? config.ch_mult ?? [1, 1, 2, 2, 4],
    residualBlocks: config.num_res_blocks ?? 2,
  };
}
