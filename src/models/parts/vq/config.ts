/** Sizes of VQ tokenizers laid out as LlamaGen's. Source: tokenizer/tokenizer_image/vq_model.py, ModelArgs and VQ_models. */

import { flag, listOf, multipleOf, nested, oneOf, required, whole } from '../../../tensor/checks.ts';
import { OptionError } from '../../../tensor/errors.ts';
import type { Check, OptionTable } from '../../../tensor/options.ts';
import { SIZE } from '../config-checks.ts';

/** Sizes of a VQ tokenizer. */
export interface VqConfig {
  readonly codebook: {
    readonly count: number;
    readonly width: number;
    /** Rows are brought to length 1 when they are looked up. */
    readonly normalized: boolean;
  };
  /** Channels between the codebook and the decoder. */
  readonly zChannels: number;
  readonly baseChannels: number;
  /** Channels of each level in units of the base, the finest level first. A level more halves the sides once more. */
  readonly multipliers: readonly number[];
  /** Residual blocks of a level of the encoder; the decoder has one more. */
  readonly residualBlocks: number;
  /** Whose names the tensors have, and whether attention stands in the coarsest level: LlamaGen's, or Chameleon's VQGAN. */
  readonly layout?: 'llamagen' | 'chameleon';
}

/** Of channels, in every norm: vq_model.py, Normalize. */
export const GROUPS = 32;

const LLAMAGEN = {
  codebook: { count: 16384, width: 8, normalized: true },
  zChannels: 256,
  baseChannels: 128,
  residualBlocks: 2,
} as const;

/** The released tokenizers, and that of the embedded checkpoint. */
export const VQ_PRESETS: Readonly<Record<string, VqConfig>> = {
  'vq-ds16': { ...LLAMAGEN, multipliers: [1, 1, 2, 2, 4] },
  'vq-ds8': { ...LLAMAGEN, multipliers: [1, 2, 2, 4] },
  'vqgan-chameleon': {
    codebook: { count: 8192, width: 256, normalized: false },
    zChannels: 256,
    baseChannels: 128,
    multipliers: [1, 1, 2, 2, 4],
    residualBlocks: 2,
    layout: 'chameleon',
  },
  emoji: {
    codebook: { count: 512, width: 8, normalized: true },
    zChannels: 64,
    baseChannels: 32,
    multipliers: [1, 2, 2],
    residualBlocks: 1,
  },
};

/** Throws OptionError naming the presets there are. */
export function vqPreset(name: string): VqConfig {
  const found = Object.hasOwn(VQ_PRESETS, name) ? VQ_PRESETS[name] : undefined;
  if (found) return found;
  throw new OptionError(`vqPreset: expected one of ${Object.keys(VQ_PRESETS).join(', ')}, got ${name}`);
}

/** A level more doubles the sides of what a token becomes. */
const MULTIPLIERS: Check<readonly number[]> = {
  expected: 'a list of 1 to 8 whole numbers from 1 to 64',
  fits: (value): value is readonly number[] => listOf('', whole(1, 64), 1).fits(value) && value.length <= 8,
};

export const VQ_OPTIONS: OptionTable<VqConfig>['options'] = {
  codebook: required(nested({ count: required(SIZE), width: required(SIZE), normalized: required(flag) })),
  zChannels: required(SIZE),
  baseChannels: required(multipleOf(GROUPS)),
  multipliers: required(MULTIPLIERS),
  residualBlocks: required(whole(0, 64)),
  layout: oneOf('llamagen', 'chameleon'),
};

/** Of options that hold the sizes, or a name of released ones: with the sizes. */
export function withVqSizes<Options extends { readonly vq?: VqConfig | string }>(options: Options) {
  const { vq } = options;
  return typeof vq === 'string' ? { ...options, vq: vqPreset(vq) } : options;
}

/** Tensors that a tokenizer may hold and decoding does not need; each may stand behind a family's prefix. */
export const VQ_IGNORED: readonly RegExp[] = [
  /(^|\.)encoder\./,
  /(^|\.)quant_conv\./,
  /(^|\.)quantize\.codebook_used$/,
  /(^|\.)loss\./,
];
