/** LlamaGen's sizes. Source: autoregressive/models/gpt.py. */

import { nested, oneOf, required } from '../../tensor/checks.ts';
import { OptionError } from '../../tensor/errors.ts';
import { type Check, checkOptions, checkValue, type OptionTable } from '../../tensor/options.ts';
import type { SamplingDefaults } from '../image-model.ts';
import { DEPTH, EPSILON, expectSharedHeads, ROPE_BASE, SAMPLING_OPTIONS, SIDE, SIZE } from '../parts/config-checks.ts';
import { FLAN_T5_XL, T5_OPTIONS, type T5Config } from '../parts/t5/config.ts';
import { VQ_OPTIONS, type VqConfig, vqPreset, withVqSizes } from '../parts/vq/config.ts';

/** Sizes of a LlamaGen transformer. */
export interface LlamaGenConfig {
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly width: number;
  /** Inner width of the MLP. */
  readonly intermediateSize: number;
  /** Image tokens: codes of the VQ tokenizer. */
  readonly vocabulary: number;
  /** Tokens of a side of the square image. */
  readonly side: number;
  readonly ropeBase: number;
  readonly normEpsilon: number;
  readonly condition: LlamaGenCondition;
  readonly vq: VqConfig;
  /** Sampling for what a caller leaves out. */
  readonly sampling: SamplingDefaults;
}

/** What images are drawn from: classes, or captions of so many tokens that a T5 encoder reads. */
export type LlamaGenCondition =
  | ClassCondition
  | { readonly kind: 'caption'; readonly tokens: number; readonly encoder: T5Config };

interface ClassCondition {
  readonly kind: 'class';
  readonly classes: number;
}

/** What a caller must say, and may: the rest is as in the released models. */
export interface LlamaGenOptions
  extends Pick<LlamaGenConfig, 'layers' | 'heads' | 'width' | 'side'>,
    Partial<Omit<LlamaGenConfig, 'layers' | 'heads' | 'width' | 'side' | 'condition' | 'vq'>> {
  /** Default: 1000 classes. */
  readonly condition?: ClassCondition | CaptionOptions;
  /** Sizes, or the name of a preset. Default: vq-ds16. */
  readonly vq?: VqConfig | string;
}

interface CaptionOptions {
  readonly kind: 'caption';
  readonly tokens: number;
  /** Default: flan-t5-xl. */
  readonly encoder?: T5Config;
}

type Sized<Options> = Omit<Options, 'vq'> & { readonly vq?: VqConfig };

const TABLE: OptionTable<Omit<Sized<LlamaGenOptions>, 'condition'>>['options'] = {
  layers: required(DEPTH),
  heads: required(SIZE),
  width: required(SIZE),
  side: required(SIDE),
  kvHeads: SIZE,
  intermediateSize: SIZE,
  vocabulary: SIZE,
  ropeBase: ROPE_BASE,
  normEpsilon: EPSILON,
  vq: nested(VQ_OPTIONS),
  sampling: nested(SAMPLING_OPTIONS),
};

const KINDS = {
  class: {
    condition: nested<ClassCondition>({ kind: required(oneOf('class')), classes: required(SIZE) }),
    // sample_c2i.py
    sampling: { guidanceScale: 4, topK: 2000, temperature: 1, topP: 1 },
  },
  caption: {
    condition: nested<CaptionOptions>({
      kind: required(oneOf('caption')),
      tokens: required(SIZE),
      encoder: nested(T5_OPTIONS),
    }),
    // sample_t2i.py
    sampling: { guidanceScale: 7.5, topK: 1000, temperature: 1, topP: 1 },
  },
} as const;

/** Throws OptionError for a name that there is not, or sizes that do not go together. */
export function llamaGenConfig(given: LlamaGenOptions): LlamaGenConfig {
  const kind = checkValue('condition.kind', oneOf('class', 'caption'), given.condition?.kind ?? 'class');
  const { condition: check, sampling } = KINDS[kind];
  const table = {
    place: 'config',
    options: { ...TABLE, condition: check as Check<LlamaGenOptions['condition'] & object> },
  };
  const options = checkOptions<Sized<LlamaGenOptions>>(table, withVqSizes(given));
  const { heads, width, condition = { kind: 'class', classes: 1000 } } = options;
  const config: LlamaGenConfig = {
    kvHeads: heads,
    intermediateSize: mlpWidth(width),
    vocabulary: 16384,
    ropeBase: 10000,
    normEpsilon: 1e-5,
    vq: vqPreset('vq-ds16'),
    sampling,
    ...options,
    condition: condition.kind === 'caption' ? { encoder: FLAN_T5_XL, ...condition } : condition,
  };
  expectSharedHeads(config);
  // the angles of a row and of a column turn pairs of their own
  if (width % (4 * heads) !== 0)
    throw new OptionError(`width: expected a multiple of 4 for each of ${heads} heads, got ${width}`);
  return config;
}

/** floor(2 · 4 C / 3), rounded up to a multiple of 256: the MLP's width in gpt.py. */
export function mlpWidth(width: number, multipleOf = 256): number {
  return Math.ceil(Math.floor((8 * width) / 3) / multipleOf) * multipleOf;
}
