/** The cost of forgetting: what policies at budgets do to a model, against its own full cache. */

import { orAborted } from './abort.ts';
import { type CacheOptions, planCache } from './cache/policy.ts';
import { generate } from './generate.ts';
import { GENERATE_OPTIONS, MODEL } from './generate-options.ts';
import type { GeneratedImage } from './generated-image.ts';
import { divergence } from './kernels/divergence.ts';
import type { DrawRange } from './kernels/sample.ts';
import type { ImageModel } from './models/image-model.ts';
import { type Head, openCondition, openRun } from './open-run.ts';
import {
  expectGiven,
  type GivenTokens,
  resolveSampling,
  SAMPLING_OPTIONS,
  Sampler,
  type SamplingOptions,
} from './sampler.ts';
import { callback, listOf, required } from './tensor/checks.ts';
import { OptionError } from './tensor/errors.ts';
import { checkOptions, checkValue, type OptionTable, pickOptions } from './tensor/options.ts';
import type { Runtime } from './tensor/runtime.ts';
import type { Tensor } from './tensor/tensor.ts';

/** What is drawn, and which caches are compared. */
export interface CompareOptions<Prompt> extends Pick<SamplingOptions, 'guidanceScale' | 'temperature'> {
  readonly prompt: Prompt;
  /** What is compared with the full cache: each a policy at a budget. */
  readonly settings: readonly CacheOptions[];
  /** Tokens to feed, all of them given or as many as there are; the rest are the full cache's likeliest. */
  readonly tokens?: readonly GivenTokens[];
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** What a cache costs a model, against the full one. */
export interface Comparison {
  readonly cache: CacheOptions;
  /** Mean over tokens of KL(full ‖ setting) in nats, at the temperature, both fed the same tokens. */
  readonly divergence: number;
  /** The same for each line. */
  readonly byLine: readonly number[];
  /** Share of tokens that both find the likeliest. */
  readonly sameChoice: number;
  /** Mean of −log2 of the probability that the setting gives the token fed. */
  readonly bitsPerToken: number;
  /** Share of tokens alike when the setting draws by itself, each time the likeliest. */
  readonly freeAgreement: number;
  readonly kvBytes: number;
  /** Of the free run, the decoding into pixels included. */
  readonly msPerToken: number;
  readonly images: readonly GeneratedImage[];
}

const isObject = (value: unknown): value is CacheOptions => typeof value === 'object' && value !== null;

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
 * Compares settings with the full cache. Logits are compared on the GPU; three numbers a token come back.
 *
 * Throws OptionError for options out of range before anything is allocated, and the signal's reason.
 *
 * @example
 * const { settings } = await compare(model, { prompt: { classes: [84] }, settings: [{ budgetLines: 4 }] });
 * settings[0]?.divergence;
 */
export async function compare<Prompt>(
  model: ImageModel<Prompt>,
  given: CompareOptions<Prompt>,
): Promise<{ readonly full: readonly GeneratedImage[]; readonly settings: readonly Comparison[] }> {
  checkValue('compare: model', MODEL, model);
  const options = checkOptions(COMPARE_OPTIONS, given) as CompareOptions<Prompt>;
  const { prompt, settings, tokens = [], signal } = options;
  const grid = model.grid(prompt);
  if (settings.length === 0) throw new OptionError('settings: expected at least one, got none');
  for (const cache of settings) planCache(cache, grid);
  const { guidanceScale, temperature } = resolveSampling(pickOptions(SAMPLING_OPTIONS, options), model.defaults);
  if (temperature === 0) throw new OptionError('temperature: expected more than 0, at which predictions are compared');
  expectGiven(tokens, { ...grid, ...model.imageTokens });
  const greedy = { prompt, guidanceScale, temperature: 0, ...(signal && { signal }) };
  const total = 2 * settings.length + 1;
  const full = await generate(model, greedy);
  options.onProgress?.(1, total);
  const results: Comparison[] = [];
  for (const cache of settings) {
    const { sums, kvBytes } = await forced(model, { ...options, guidanceScale, temperature }, cache);
    options.onProgress?.(2 * results.length + 2, total);
    const start = performance.now();
    const images = await generate(model, { ...greedy, cache });
    const elapsedMs = performance.now() - start;
    const count = grid.lines * grid.lineLength;
    // the end of a line is no choice
    const places = Array.from({ length: count }, (_, n) => n).filter(
      (n) => grid.lineEnd === undefined || (n + 1) % grid.lineLength !== 0,
    );
    const mean = (what: 0 | 1 | 2, among: readonly number[]) => {
      const values = among.flatMap((n) => images.map((_, image) => sums[(image * count + n) * 3 + what]!));
      return values.reduce((sum, value) => sum + value, 0) / values.length;
    };
    const ofLine = (line: number) => places.filter((n) => Math.floor(n / grid.lineLength) === line);
    results.push({
      cache,
      divergence: mean(0, places),
      byLine: Array.from({ length: grid.lines }, (_, line) => mean(0, ofLine(line))),
      sameChoice: mean(1, places),
      bitsPerToken: mean(2, places),
      freeAgreement: tokenAgreement(images, full),
      kvBytes,
      msPerToken: elapsedMs / count,
      images,
    });
    options.onProgress?.(2 * results.length + 1, total);
  }
  return { full, settings: results };
}

/** Share of tokens that are alike in both, image by image. */
export function tokenAgreement(images: readonly GeneratedImage[], full: readonly GeneratedImage[]): number {
  const alike = images.flatMap((image, i) => [...image.tokens].map((token, at) => token === full[i]!.tokens[at]));
  return alike.filter(Boolean).length / alike.length;
}

/** Runs the full cache and a setting side by side on the same tokens; sums f32 [B, N, 3], see `divergence`. */
async function forced<Prompt>(
  model: ImageModel<Prompt>,
  options: CompareOptions<Prompt> & { readonly guidanceScale: number; readonly temperature: number },
  cache: CacheOptions,
): Promise<{ readonly sums: Float32Array; readonly kvBytes: number }> {
  const { runtime, imageTokens } = model;
  const { guidanceScale, temperature, tokens: given, signal } = options;
  const grid = model.grid(options.prompt);
  const range = { ...grid, ...imageTokens };
  const condition = openCondition(model, options.prompt, guidanceScale > 1);
  const plans = [planCache({}, grid), planCache(cache, grid)] as const;
  using run = await openRun(model, { condition, grid, plans }, (images) =>
    runtime.memory.together(() => new Judge(runtime, images, { range, given, guidanceScale, temperature })),
  );
  for (let line = 0; line < grid.lines; line++) {
    run.drawLine(run.head.draw.check);
    await orAborted(run.head.draw.settled(), signal);
  }
  return { sums: (await run.head.sums.read()) as Float32Array, kvBytes: run.stores[1]!.bytes };
}

interface JudgeOptions {
  readonly range: DrawRange;
  readonly given: readonly GivenTokens[] | undefined;
  readonly guidanceScale: number;
  readonly temperature: number;
}

/** Feeds what the reference finds likeliest, and measures how far the other is from it. */
class Judge implements Head<Tensor, void> {
  readonly draw: Sampler;
  /** f32 [B, N, 3], see `divergence`. */
  readonly sums: Tensor;
  readonly #calls: Tensor;

  constructor(
    runtime: Runtime,
    images: number,
    private readonly options: JudgeOptions,
  ) {
    const { range, given, guidanceScale } = options;
    const sampling = resolveSampling({ guidanceScale, temperature: 0, topK: 0, topP: 1 }, {});
    this.draw = Sampler.open(runtime, images, { range, sampling, given });
    this.sums = runtime.tensor([images, range.lines * range.lineLength, 3], 'f32', 'sums');
    this.#calls = runtime.tensor([images], 'u32', 'calls');
  }

  get token(): Tensor {
    return this.draw.token;
  }

  next(reference: Tensor, other: Tensor): void {
    const { range, guidanceScale, temperature } = this.options;
    this.draw.next(reference);
    divergence({
      ...{ reference, other, token: this.token, first: range.first, sums: this.sums, calls: this.#calls },
      ...{ guidanceScale, temperature },
    });
  }

  dispose(): void {
    this.draw.dispose();
    this.sums.dispose();
    this.#calls.dispose();
  }
}
