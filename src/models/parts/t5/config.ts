/** Sizes of T5 encoders. Source: the config.json of google/flan-t5-xl. */

import { multipleOf, required } from '../../../tensor/checks.ts';
import type { OptionTable } from '../../../tensor/options.ts';
import { DEPTH, EPSILON, SIZE } from '../config-checks.ts';

/** Sizes of a T5 encoder. */
export interface T5Config {
  readonly layers: number;
  readonly heads: number;
  readonly headDim: number;
  readonly width: number;
  /** Inner width of the MLP. */
  readonly intermediateSize: number;
  /** Rows of the embedding table: the tokenizer's, rounded up. */
  readonly vocabulary: number;
  /** Classes of distance between two tokens, both directions together. */
  readonly buckets: number;
  /** Distance in tokens from which on all are one class. */
  readonly maxDistance: number;
  readonly normEpsilon: number;
}

export const T5_OPTIONS: OptionTable<T5Config>['options'] = {
  layers: required(DEPTH),
  heads: required(SIZE),
  headDim: required(multipleOf(4)),
  width: required(multipleOf(4)),
  intermediateSize: required(SIZE),
  vocabulary: required(SIZE),
  buckets: required(multipleOf(2)),
  maxDistance: required(SIZE),
  normEpsilon: required(EPSILON),
};

/** What LlamaGen's text-conditional models read captions with. */
export const FLAN_T5_XL: T5Config = {
  layers: 24,
  heads: 32,
  headDim: 64,
  width: 2048,
  intermediateSize: 5120,
  vocabulary: 32128,
  buckets: 32,
  maxDistance: 128,
  normEpsilon: 1e-6,
};

/** What the embedded model reads prompts with. */
export const EMOJI_T5: T5Config = {
  layers: 2,
  heads: 4,
  headDim: 24,
  width: 96,
  intermediateSize: 256,
  vocabulary: 423,
  buckets: 32,
  maxDistance: 128,
  normEpsilon: 1e-6,
};

/** What a checkpoint of the whole T5 holds beside its encoder, and the second name of the embedding table. */
export const T5_IGNORED: readonly RegExp[] = [/^decoder\./, /^lm_head\.weight$/, /^encoder\.embed_tokens\.weight$/];
