/** More images than memory holds: one run after the other, of which no image depends. */

import { mostThatFit } from './fit.ts';
import { GENERATE_OPTIONS, type GenerateOptions, generate } from './generate.ts';
import type { GeneratedImage } from './generated-image.ts';
import type { ImageModel } from './models/image-model.ts';
import { type FamilyModel, MODEL_NAMES, type ModelName } from './models/registry.ts';
import { PLAN_OPTIONS, type PlanOptions, plan, planner } from './plan.ts';
import { imagesOf, promptOf, repeated } from './prompt-list.ts';
import { whole } from './tensor/checks.ts';
import { OptionError, OutOfMemoryError } from './tensor/errors.ts';
import { checkOptions, checkValue } from './tensor/options.ts';

const AT_ONCE = whole(1, 2 ** 20);

/**
 * How many images, of `wanted`, a plan says that these bytes hold at once, weights included. WebGPU does not tell what a
 * device has: the caller does. Throws OptionError where they do not hold one.
 *
 * @example
 * const atOnce = await imagesThatFit('llamagen-xl-384', 64, { memoryBytes: 8e9, cache: { budgetLines: 6 } });
 */
export async function imagesThatFit(
  model: string | FamilyModel,
  wanted: number,
  { memoryBytes, ...options }: Omit<PlanOptions, 'batch' | 'fit' | 'memoryBytes'> & { readonly memoryBytes: number },
): Promise<number> {
  checkValue('wanted', AT_ONCE, wanted);
  checkValue('memoryBytes', whole(1), memoryBytes);
  checkOptions(PLAN_OPTIONS, options);
  const { dtype = 'f16', cache = {} } = options;
  const need = planner(model, options);
  const bytesOf = (batch: number) => need({ batch, dtype, cache }).totalBytes;
  const one = bytesOf(1);
  if (one > memoryBytes)
    throw new OptionError(`memoryBytes: expected at least ${one}, which one image needs, got ${memoryBytes}`);
  return mostThatFit(wanted, (batch) => bytesOf(batch) <= memoryBytes);
}

/** The options of some images of a batch, by their places in it: they draw what they draw there. */
export function optionsOf<Prompt>(
  options: GenerateOptions<Prompt>,
  images: readonly number[],
): GenerateOptions<Prompt> {
  const { prompt, images: times, seed = 0, firstImage = 0, tokens, ...rest } = options;
  return {
    ...rest,
    prompt: promptOf(repeated(prompt, times) as object, images) as Prompt,
    seed,
    ...(typeof seed !== 'number' && { seed: images.map((image) => seed[image]!) }),
    firstImage: images.map((image) => (typeof firstImage === 'number' ? firstImage + image : firstImage[image]!)),
    ...(tokens && { tokens: images.flatMap((image) => (tokens[image] ? [tokens[image]] : [])) }),
  };
}

/** Places of the images of each run: from `first` up to `images`, so many at once. */
export function runsOf(images: number, atOnce: number, first = 0): readonly (readonly number[])[] {
  checkValue('atOnce', AT_ONCE, atOnce);
  const runs = Math.ceil((images - first) / atOnce);
  return Array.from({ length: Math.max(runs, 0) }, (_, run) => {
    const from = first + run * atOnce;
    return Array.from({ length: Math.min(atOnce, images - from) }, (_, i) => from + i);
  });
}

/**
 * Draws any number of images, `atOnce` of them in a run, and gives those of each run as it ends. Every image is what it is
 * in one run of all. `onLine` hears of the lines of each run.
 *
 * Throws as `generate` does. Where the device refuses the memory, the DeviceError says how many images would have fit.
 *
 * @example
 * const prompt = { classes: Array.from({ length: 100 }, (_, image) => image) };
 * for await (const images of generateInRuns(model, { prompt, seed: 7 }, 8)) console.log(images.length);
 */
export async function* generateInRuns<Prompt>(
  model: ImageModel<Prompt>,
  given: GenerateOptions<Prompt>,
  atOnce: number,
): AsyncGenerator<GeneratedImage[], void, undefined> {
  const options = checkOptions(GENERATE_OPTIONS, given) as GenerateOptions<Prompt>;
  for (const images of runsOf(imagesOf(repeated(options.prompt, options.images) as object), atOnce)) {
    try {
      yield await generate(model, optionsOf(options, images));
    } catch (error) {
      throw await withWhatFits(error, model, images.length, options);
    }
  }
}

/** Adds to an OutOfMemoryError how many images a plan says that the bytes hold which the device gave to the run. */
export async function withWhatFits<Prompt>(
  error: unknown,
  { name, runtime }: Pick<ImageModel<Prompt>, 'name' | 'runtime'>,
  images: number,
  { cache = {} }: Pick<GenerateOptions<Prompt>, 'cache'>,
): Promise<unknown> {
  if (!(error instanceof OutOfMemoryError) || !MODEL_NAMES.includes(name as ModelName)) return error;
  const { message, heldBytes } = error;
  const { weightBytes } = await plan(name);
  const memoryBytes = Math.max(1, weightBytes + heldBytes - runtime.liveBytes); // the run has freed what was its own
  const fits = await imagesThatFit(name, Math.max(1, images - 1), { memoryBytes, cache }).catch(() => 0);
  const told = images === 1 || fits === 0 ? 'not even one image' : `${fits} images at once`;
  return new OutOfMemoryError(`${message}; what it gave holds ${told}, by a plan`, heldBytes, { cause: error });
}
