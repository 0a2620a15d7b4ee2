/** Measures which kernels are the fastest for a model on this adapter, and remembers it. */

import { KvStore } from './cache/kv-store.ts';
import { CACHE_OPTIONS, type CacheOptions, planCache } from './cache/policy.ts';
import { GENERATE_OPTIONS, MODEL } from './generate-options.ts';
import { columnsOf } from './image.ts';
import type { ImageModel } from './models/image-model.ts';
import { openCondition } from './open-run.ts';
import { resolveSampling } from './sampler.ts';
import { callback, nested } from './tensor/checks.ts';
import { checkOptions, checkValue, type OptionTable } from './tensor/options.ts';
import type { TunedProblem, TuneProgress } from './tensor/race.ts';

/** What is going to be drawn: kernels are chosen for its sizes. */
export interface TuneOptions<Prompt> {
  /** One entry an image of the batch. What it says does not matter, only how much. */
  readonly prompt: Prompt;
  /** Above 1 every step has two rows an image. Default: the model's own. */
  readonly guidanceScale?: number;
  readonly cache?: CacheOptions;
  readonly onProgress?: (progress: TuneProgress) => void;
  /** Ends tuning with the signal's reason; nothing is stored then. */
  readonly signal?: AbortSignal;
}

/** What was found, and where it is stored. */
export interface Tuned {
  readonly problems: readonly TunedProblem[];
  readonly file: string;
}

export const TUNE_OPTIONS: OptionTable<TuneOptions<object>> = {
  place: 'tune',
  options: {
    prompt: GENERATE_OPTIONS.options.prompt,
    guidanceScale: GENERATE_OPTIONS.options.guidanceScale,
    cache: nested(CACHE_OPTIONS),
    onProgress: callback(),
    signal: GENERATE_OPTIONS.options.signal,
  },
};

/**
 * Times every kernel that fits the model's own step, prefill and decoder on this adapter, each checked bit for bit against
 * the first. Models of this runtime take the fastest from now on in what they record, and runtimes opened later on the same
 * adapter, driver and version of this library too: the choice is stored in the user's cache folder, or in the origin's own
 * file system. Pictures do not change by it.
 *
 * Throws OptionError for options out of range, DeviceError for an adapter that fails, StorageError where nothing can be
 * stored, and the signal's reason.
 *
 * @example
 * const { problems } = await tune(model, { prompt: { classes: [84, 100] }, cache: { budgetLines: 4 } });
 * for (const { problem, chosen } of problems) console.log(problem, chosen);
 */
export async function tune<Prompt>(model: ImageModel<Prompt>, given: TuneOptions<Prompt>): Promise<Tuned> {
  checkValue('tune: model', MODEL, model);
  const {
    prompt,
    cache = {},
    onProgress,
    signal,
    ...sampling
  } = checkOptions(TUNE_OPTIONS, given) as TuneOptions<Prompt>;
  const { runtime, geometry, kvDtype: dtype } = model;
  const grid = model.grid(prompt);
  const plan = planCache(cache, grid);
  const { guidanceScale } = resolveSampling(sampling, model.defaults);
  signal?.throwIfAborted();
  using condition = openCondition(model, prompt, guidanceScale > 1);
  const { rows, images, promptLength } = condition;
  const shape = { ...geometry, ...grid, ...condition, condition: promptLength, dtype };
  using store = await KvStore.prepare(runtime, shape, plan);
  const columns = columnsOf(grid);
  using token = runtime.tensor([images], 'u32', 'token');
  using codes = runtime.tensor([grid.lines * columns], 'u32', 'codes of one image');
  token.write(new Uint32Array(images).fill(model.imageTokens.first));
  store.advance(); // the step is that of the first token, after a prefill
  const builds = [
    () => model.logits(condition.embeddings(), store.prefill, promptLength),
    () => model.logits(model.embed(token, rows), store.decode, 1),
    () => model.decode(codes, { ...grid, lineLength: columns }),
  ];
  const { raceCandidates } = await import('./tensor/race.ts'); // who draws need not fetch it
  const problems = await raceCandidates(runtime, builds, {
    ...(onProgress && { onProgress }),
    ...(signal && { signal }),
  });
  return { problems, file: await runtime.tuning.save(runtime.device.adapterInfo) };
}
