/** The cost of forgetting: what policies at budgets do to a model, against its own full cache. */

import { type CacheOptions, planCache } from './cache/policy.ts';
import { PARALLEL, type ParallelOptions } from './cache/step-options.ts';
import { forcedRun } from './compare/forced-run.ts';
import { type FreeRun, freeRun } from './compare/free-run.ts';
import { keepReference, parallelRun } from './compare/parallel-run.ts';
import { GENERATE_OPTIONS, MODEL } from './generate-options.ts';
import type { GeneratedImage } from './generated-image.ts';
import type { ImageModel } from './models/image-model.ts';
import { expectGiven, type GivenTokens, resolveSampling, SAMPLING_OPTIONS, type SamplingOptions } from './sampler.ts';
import { callback, listOf, nested, required } from './tensor/checks.ts';
import { OptionError } from './tensor/errors.ts';
import { checkOptions, checkValue, type OptionTable, pickOptions } from './tensor/options.ts';

/** A policy at a budget, and how lines are drawn with it. */
export interface CompareSetting extends CacheOptions {
  /** Default: one line after another. */
  readonly parallel?: ParallelOptions;
}

/** What is drawn, and which settings are compared. */
export interface CompareOptions<Prompt> extends Pick<SamplingOptions, 'guidanceScale' | 'temperature'> {
  readonly prompt: Prompt;
  /** What is compared with the full cache, one line after another: each a policy at a budget, with lines in parallel or not. */
  readonly settings: readonly CompareSetting[];
  /** Tokens to feed, all of them given or as many as there are; the rest are the full cache's likeliest. */
  readonly tokens?: readonly GivenTokens[];
  /** Called at the end of every line, of all runs: the full cache's, once more where lines are in parallel, and two of each setting. */
  readonly onProgress?: (doneLines: number, totalLines: number) => void;
  readonly signal?: AbortSignal;
}

/** What a cache costs a model, against the full one. Its own run draws the likeliest token each time. */
export interface Comparison extends FreeRun {
  readonly cache: CacheOptions;
  readonly parallel?: ParallelOptions;
  /** Mean over tokens of KL(full ‖ setting) in nats, at the temperature, both fed the same tokens. */
  readonly divergence: number;
  /** The same for each line. */
  readonly byLine: readonly number[];
  /** Share of tokens that both find the likeliest. */
  readonly sameChoice: number;
  /** Mean of −log2 of the probability that the setting gives the token fed, at the temperature. */
  readonly bitsPerToken: number;
  /** Share of tokens alike when the setting draws by itself. */
  readonly freeAgreement: number;
}

/** What `compare` found: the full cache, and each setting beside it. */
export interface Comparisons {
  readonly full: FreeRun & Pick<Comparison, 'bitsPerToken'>;
  readonly settings: readonly Comparison[];
}

const isObject = (value: unknown): value is CompareSetting => typeof value === 'object' && value !== null;

export const COMPARE_OPTIONS: OptionTable<CompareOptions<object>> = {
  place: 'compare',
  options: {
    prompt: GENERATE_OPTIONS.options.prompt,
    settings: required(listOf('cache options', { expected: 'cache options', fits: isObject })),
    tokens: GENERATE_OPTIONS.options.tokens,
    guidanceScale: GENERATE_OPTIONS.options.guidanceScale,
    temperature: GENERATE_OPTIONS.options.temperature,
    onProgress: callback(),
    signal: GENERATE_OPTIONS.options.signal,
  },
};

/**
 * Compares settings with the full cache. Logits are compared on the GPU; four numbers a token come back.
 *
 * Throws OptionError for options out of range before anything is allocated, and the signal's reason.
 *
 * @example
 * const { settings } = await compare(model, { prompt: { classes: [84] }, settings: [{ budgetLines: 4 }] });
 * settings[0]?.divergence;
 */
export async function compare<Prompt>(model: ImageModel<Prompt>, given: CompareOptions<Prompt>): Promise<Comparisons> {
  checkValue('compare: model', MODEL, model);
  const options = checkOptions(COMPARE_OPTIONS, given) as CompareOptions<Prompt>;
  const { prompt, settings, tokens = [], signal } = options;
  const grid = model.grid(prompt);
  if (settings.length === 0) throw new OptionError('settings: expected at least one, got none');
  const runs = settings.map(({ parallel, ...cache }) => ({ cache, ...(parallel && { parallel }) }));
  for (const { cache, parallel } of runs) {
    if (parallel) checkOptions({ place: 'settings', options: { parallel: nested(PARALLEL) } }, { parallel });
    planCache(cache, grid, { parallel });
  }
  const { guidanceScale, temperature } = resolveSampling(pickOptions(SAMPLING_OPTIONS, options), model.defaults);
  if (temperature === 0) throw new OptionError('temperature: expected more than 0, at which predictions are compared');
  expectGiven(tokens, { ...grid, ...model.imageTokens });
  signal?.throwIfAborted();

  const isParallel = (parallel?: ParallelOptions) => parallel !== undefined && parallel.window < grid.lineLength;
  const hasParallel = runs.some(({ parallel }) => isParallel(parallel));
  const total = (2 * settings.length + (hasParallel ? 2 : 1)) * grid.lines;
  let done = 0;
  const run = { prompt, guidanceScale, signal, onLine: () => options.onProgress?.(++done, total) };
  // the end of a line is no choice
  const lines = Array.from({ length: grid.lines }, (_, line) =>
    Array.from(
      { length: grid.lineLength - (grid.lineEnd === undefined ? 0 : 1) },
      (_, i) => line * grid.lineLength + i,
    ),
  );
  const full = await freeRun(model, { ...run, cache: {} });
  const forced = { ...run, temperature, given: tokens };
  using reference = hasParallel ? await keepReference(model, forced) : undefined;
  let fullBits = 0;
  const results: Comparison[] = [];
  for (const { cache, parallel } of runs) {
    const sums =
      reference && parallel && isParallel(parallel)
        ? await parallelRun(model, reference, { ...forced, cache, parallel })
        : await forcedRun(model, { ...forced, cache });
    const images = full.images.map((_, image) => image * grid.lines * grid.lineLength);
    const mean = (what: number, places: readonly number[]) => {
      const values = images.flatMap((first) => places.map((place) => sums[4 * (first + place) + what]!));
      return values.reduce((sum, value) => sum + value, 0) / values.length;
    };
    const own = await freeRun(model, { ...run, cache, parallel });
    const all = lines.flat();
    fullBits = mean(2, all);
    results.push({
      cache,
      ...(parallel && { parallel }),
      divergence: mean(0, all),
      byLine: lines.map((line) => mean(0, line)),
      sameChoice: mean(1, all),
      bitsPerToken: mean(3, all),
      freeAgreement: tokenAgreement(own.images, full.images),
      ...own,
    });
  }
  return { full: { ...full, bitsPerToken: fullBits }, settings: results };
}

/** Share of tokens that are alike in both, image by image. */
export function tokenAgreement(images: readonly GeneratedImage[], full: readonly GeneratedImage[]): number {
  const alike = images.flatMap((image, i) => [...image.tokens].map((token, at) => token === full[i]!.tokens[at]));
  return alike.filter(Boolean).length / alike.length;
}
