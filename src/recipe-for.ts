/** The recipe of an image of a run. */

import { type PolicyName, planCache } from './cache/policy.ts';
import { GENERATE_OPTIONS, type GenerateOptions } from './generate-options.ts';
import type { ImageModel } from './models/image-model.ts';
import { imagesOf, promptOf, repeated } from './prompt-list.ts';
import type { Recipe, RecipePrompt } from './recipe.ts';
import { resolveSampling, SAMPLING_OPTIONS, samplingOfImages } from './sampler.ts';
import { whole } from './tensor/checks.ts';
import { OptionError } from './tensor/errors.ts';
import { checkOptions, checkValue, pickOptions } from './tensor/options.ts';
import { VERSION } from './version.ts';

/**
 * The recipe of image number `image` of a run of `generate`.
 *
 * Throws OptionError for a prompt of features, which a picture cannot hold, and for an image that the run does not have.
 *
 * @example
 * const options = { prompt: { classes: [84, 132] }, seed: 7 };
 * const images = await generate(model, options);
 * await writeFile('second.png', encodePng(images[1], recipeFor(model, options, 1)));
 */
export function recipeFor<Prompt>(
  model: Pick<ImageModel<Prompt>, 'name' | 'origin' | 'defaults' | 'grid'>,
  given: GenerateOptions<Prompt>,
  image: number,
  loaded: Readonly<Record<string, string>> = {},
): Recipe {
  const options = checkOptions(GENERATE_OPTIONS, given) as GenerateOptions<Prompt>;
  checkValue('image', whole(0), image);
  const prompt = repeated(options.prompt as object, options.images);
  const sampling = resolveSampling(pickOptions(SAMPLING_OPTIONS, options), model.defaults);
  const { parallel } = options;
  const { policy } = planCache(options.cache ?? {}, model.grid(options.prompt), { parallel });
  return {
    version: VERSION,
    model: model.origin ?? model.name,
    prompt: recipePrompt(prompt, image),
    sampling: samplingOfImages(sampling, imagesOf(prompt))[image]!,
    cache: { ...options.cache, policy: policy.name as PolicyName },
    ...(parallel && { parallel }),
    loaded,
  };
}

function recipePrompt(prompt: object, image: number): RecipePrompt {
  const images = imagesOf(prompt);
  if (images === 0 || 'captions' in prompt)
    throw new OptionError('recipe: expected a prompt of classes, words or tokens, got features');
  if (image >= images) throw new OptionError(`recipe: expected an image from 0 to ${images - 1}, got ${image}`);
  return promptOf(prompt, [image]) as RecipePrompt;
}
