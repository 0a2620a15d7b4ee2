/** What `generate` takes. */

import { CACHE_OPTIONS, type CacheOptions } from './cache/policy.ts';
import type { Retention } from './cache/retention.ts';
import { PARALLEL, type ParallelOptions, SPECULATE, type SpeculateOptions } from './cache/step-options.ts';
import type { GeneratedImage } from './generated-image.ts';
import type { ImageModel } from './models/image-model.ts';
import { type GivenTokens, SAMPLING_OPTIONS, type SamplingOptions } from './sampler.ts';
import { callback, having, nested, required, signal, whole } from './tensor/checks.ts';
import type { Check, OptionTable } from './tensor/options.ts';

/** What to draw, how freely, and how much of it is remembered. */
export interface GenerateOptions<Prompt> extends SamplingOptions {
  /** What to draw, for all images of the batch: for class-conditional models `{ classes: [207, 360] }`. */
  readonly prompt: Prompt;
  /** Images of each prompt, one after the other. Default 1. */
  readonly images?: number;
  /** How many lines of the image are remembered, and by which policy. Default: all. */
  readonly cache?: CacheOptions;
  /** Draws lines in parallel: several tokens of an image a step. Default: one line after another. */
  readonly parallel?: ParallelOptions;
  /** Draws the same tokens in fewer steps, by drafts. Default: a token a step. */
  readonly speculate?: SpeculateOptions;
  /**
   * First tokens of every image, in raster order, ends of lines included: they are fed as if they had been drawn, so that
   * an image is gone on with, or a run repeated. All images are given the same number. Default: none.
   */
  readonly tokens?: readonly GivenTokens[];
  /** Called when a line of tokens is complete; awaited, so that it may read or show them. */
  readonly onLine?: (progress: LineProgress) => void | Promise<void>;
  /** Ends the run at once, also while `onLine` is awaited. It throws the signal's reason; everything it made is freed. */
  readonly signal?: AbortSignal;
}

/** How far a run is, at the end of a line. */
export interface LineProgress {
  /** Lines complete, and in all. */
  readonly line: number;
  readonly lines: number;
  /** Bytes of keys and values held. */
  readonly kvBytes: number;
  /** Whether a preview now keeps all of them within a tenth of the run's time, by the clock. True at the first line, false at the last: the images follow. */
  readonly isPreviewDue: boolean;
  /** Tokens so far of each image; a read-back, made only when called. */
  readonly tokens: () => Promise<Uint32Array[]>;
  /**
   * The pictures so far, of some images or of all, lines that are not drawn yet gray (`ImageDecoder.preview`); decoded only
   * when called, before `onLine` ends.
   *
   * What it costs grows with the picture and not with the model. Where only `isPreviewDue` asks for it the previews of a run
   * take a tenth of its time at most; the first one alone may take more.
   */
  readonly preview: (images?: readonly number[]) => Promise<GeneratedImage[]>;
  /** Which tokens are still remembered, by which layer, row and head; a read-back, made only when called, before `onLine` ends. */
  readonly retained: () => Promise<Retention>;
}

/** Most images of one prompt: more than any device has room for. */
const MOST_IMAGES = 2 ** 16;

export const TOKENS: Check<readonly GivenTokens[]> = {
  expected: 'a list of numbers, or a Uint32Array, of every image',
  fits: (value): value is readonly GivenTokens[] =>
    Array.isArray(value) && value.every((one) => Array.isArray(one) || one instanceof Uint32Array),
};

export const GENERATE_OPTIONS: OptionTable<GenerateOptions<object>> = {
  place: 'generate',
  options: {
    ...SAMPLING_OPTIONS.options,
    prompt: required({
      expected: 'an object such as { classes: [1] } or { prompts: ["a cat"] }',
      fits: (value): value is object => typeof value === 'object' && value !== null && !Array.isArray(value),
    }),
    images: whole(1, MOST_IMAGES),
    cache: nested(CACHE_OPTIONS),
    parallel: nested(PARALLEL),
    speculate: nested(SPECULATE),
    tokens: TOKENS,
    onLine: callback(),
    signal,
  },
};

/** Of any prompt. */
export const MODEL = having<ImageModel<never>>('a model of loadModel', 'grid', 'condition', 'logits', 'decode');
