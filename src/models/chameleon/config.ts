/** Lumina-mGPT's sizes: one network, a Chameleon of 7 B, trained for three areas. Source: config.json of Alpha-VLLM/Lumina-mGPT-7B-768. */

import { nested } from '../../tensor/checks.ts';
import { FormatError } from '../../tensor/errors.ts';
import { checkOptions, type OptionTable } from '../../tensor/options.ts';
import { expectSharedHeads, ID, SIDE, SIZE } from '../parts/config-checks.ts';
import { LLAMA_OPTIONS, type LlamaConfig } from '../parts/llama.ts';
import {
  llamaFromTransformers,
  section,
  type TransformersConfig,
  vqFromTransformers,
} from '../parts/transformers-config.ts';
import { VQ_OPTIONS, type VqConfig, vqPreset, withVqSizes } from '../parts/vq/config.ts';
import { type ChameleonTokens, tokensOf } from './tokens.ts';

export interface ChameleonConfig extends LlamaConfig {
  /** All tokens, of text and image. */
  readonly vocabulary: number;
  /** Side of the square image in size grids, of two tokens a side. */
  readonly grids: number;
  readonly tokens: ChameleonTokens;
  readonly vq: VqConfig;
  /** Most tokens of a prompt's text, template included. */
  readonly mostPromptTokens: number;
}

/** What a caller may say: the rest is as in Lumina-mGPT-7B-768. */
export interface ChameleonOptions extends Partial<Omit<ChameleonConfig, 'vq'>> {
  /** Sizes, or the name of a preset. Default: vqgan-chameleon. */
  readonly vq?: VqConfig | string;
}

/** (ours) Far above what a caption needs; the model itself was trained on 4096 positions and more. */
const MOST_PROMPT_TOKENS = 1024;

const DEFAULTS = {
  layers: 32,
  heads: 32,
  kvHeads: 32,
  headDim: 128,
  width: 4096,
  intermediateSize: 11008,
  ropeBase: 10000,
  normEpsilon: 1e-5,
  qkNormEpsilon: 1e-5,
  vocabulary: 65536,
  grids: 24,
  tokens: { imageStart: 8197, size: 8804, newline: 8803, firstCode: 4 },
  mostPromptTokens: MOST_PROMPT_TOKENS,
} as const;

const TABLE: OptionTable<Omit<ChameleonOptions, 'vq'> & { readonly vq?: VqConfig }> = {
  place: 'config',
  options: {
    ...LLAMA_OPTIONS,
    vocabulary: SIZE,
    grids: SIDE,
    tokens: nested<ChameleonTokens>({ imageStart: ID, size: ID, newline: ID, firstCode: ID }),
    vq: nested(VQ_OPTIONS),
    mostPromptTokens: SIZE,
  },
};

/** Throws OptionError for a name that there is not, or sizes that do not go together. */
export function chameleonConfig(given: ChameleonOptions): ChameleonConfig {
  const options = checkOptions(TABLE, withVqSizes(given));
  const config: ChameleonConfig = { vq: vqPreset('vqgan-chameleon'), ...DEFAULTS, ...options };
  expectSharedHeads(config);
  return config;
}

/** Positions of the longest row of a model: prompt, start and sizes, and the image of most lines (twice as high as the square). */
export function chameleonPositions({ grids, mostPromptTokens }: ChameleonConfig): number {
  return mostPromptTokens + 3 + 4 * grids * (grids + 1);
}

/** From the config.json of Lumina-mGPT, which does not tell the area: that is the caller's, or the default. */
export function chameleonFromTransformers(config: TransformersConfig) {
  if (config.swin_norm === true) throw new FormatError('config.json: expected swin_norm false, got true');
  const ids = section(config, 'vocabulary_map');
  const id = (token: string) => {
    const found = ids[token];
    if (typeof found === 'number') return found;
    throw new FormatError(`config.json: expected an id of ${token} in vocabulary_map, got none`);
  };
  const { codebook, ...channels } = vqFromTransformers(section(config, 'vq_config'), { count: 8192, width: 256 });
  return {
    ...llamaFromTransformers({ rms_norm_eps: DEFAULTS.normEpsilon, ...config }),
    vocabulary: config.vocab_size ?? DEFAULTS.vocabulary,
    ...('vocabulary_map' in config && { tokens: tokensOf(id) }),
    vq: { ...channels, codebook: { ...codebook, normalized: false }, layout: 'chameleon' },
  };
}
