/** Janus-Pro's sizes. Source: config.json of deepseek-ai/Janus-Pro-1B and -7B. */

import { nested, required, whole } from '../../tensor/checks.ts';
import { OptionError } from '../../tensor/errors.ts';
import { checkOptions, type OptionTable } from '../../tensor/options.ts';
import { DEPTH, expectSharedHeads, SIDE, SIZE } from '../parts/config-checks.ts';
import { LLAMA_OPTIONS, type LlamaConfig } from '../parts/llama.ts';
import {
  llamaFromTransformers,
  section,
  type TransformersConfig,
  vqFromTransformers,
} from '../parts/transformers-config.ts';
import { VQ_OPTIONS, type VqConfig, vqPreset, withVqSizes } from '../parts/vq/config.ts';

export interface JanusConfig extends Omit<LlamaConfig, 'qkNormEpsilon'> {
  /** Text tokens. */
  readonly vocabulary: number;
  /** Image tokens of a side. */
  readonly side: number;
  /** Inner width of the generation head. */
  readonly headWidth: number;
  readonly vq: VqConfig;
  /** Most tokens of a prompt, template included. */
  readonly mostPromptTokens: number;
  /** Id of the pad token where no tokenizer is loaded to tell. */
  readonly padToken?: number;
}

/** What a caller must say, and may: the rest is as in the released models. */
export interface JanusOptions
  extends Pick<JanusConfig, 'layers' | 'heads' | 'width' | 'intermediateSize'>,
    Partial<Omit<JanusConfig, 'layers' | 'heads' | 'width' | 'intermediateSize' | 'vq'>> {
  /** Sizes, or the name of a preset. Default: vq-ds16. */
  readonly vq?: VqConfig | string;
}

/** (ours) Far above what a caption needs; the model itself was trained on 16384 positions. */
const MOST_PROMPT_TOKENS = 1024;

const { qkNormEpsilon: _, ...LLAMA } = LLAMA_OPTIONS;

const TABLE: OptionTable<Omit<JanusOptions, 'vq'> & { readonly vq?: VqConfig }> = {
  place: 'config',
  options: {
    ...LLAMA,
    layers: required(DEPTH),
    heads: required(SIZE),
    width: required(SIZE),
    intermediateSize: required(SIZE),
    vocabulary: SIZE,
    side: SIDE,
    headWidth: SIZE,
    vq: nested(VQ_OPTIONS),
    mostPromptTokens: SIZE,
    padToken: whole(0),
  },
};

/** Throws OptionError for a name that there is not, or sizes that do not go together. */
export function janusConfig(given: JanusOptions): JanusConfig {
  const options = checkOptions(TABLE, withVqSizes(given));
  const { heads, width } = options;
  const config: JanusConfig = {
    kvHeads: heads,
    headDim: width / heads,
    ropeBase: 10000,
    normEpsilon: 1e-6,
    vocabulary: 102400,
    side: 24,
    headWidth: width,
    mostPromptTokens: MOST_PROMPT_TOKENS,
    vq: vqPreset('vq-ds16'),
    ...options,
  };
  expectSharedHeads(config);
  if (config.headDim % 4 !== 0)
    throw new OptionError(`headDim: expected a multiple of 4, got ${config.headDim}, the width over the heads`);
  return config;
}

/** From the config.json of the conversion for `transformers`, or of the official checkpoints. */
export function janusFromTransformers(config: TransformersConfig) {
  const isConverted = config.model_type === 'janus';
  const text = section(config, isConverted ? 'text_config' : 'language_config');
  const vq = section(config, 'vq_config');
  const vision = section(config, 'vision_config');
  const official = (name: string) => section(section(config, name), 'params');
  const codes = isConverted ? vq : { num_embeddings: official('gen_vision_config').image_token_size };
  const { codebook, ...channels } = vqFromTransformers(codes, { count: 16384, width: 8 });
  return {
    ...llamaFromTransformers(text),
    vocabulary: text.vocab_size ?? 32000,
    side: isConverted ? Number(vision.image_size ?? 384) / Number(vision.patch_size ?? 16) : 24,
    headWidth: isConverted ? (vq.projection_dim ?? 2048) : official('gen_head_config').image_token_embed,
    vq: { ...channels, codebook: { ...codebook, normalized: true } },
  };
}
