/** What a picture was drawn from: kept in its PNG, and enough to draw it again. */

import type { CacheOptions } from './cache/policy.ts';
import type { ParallelOptions } from './cache/step-options.ts';
import type { ModelOrigin } from './models/image-model.ts';
import type { ImageSampling } from './sampler.ts';
import { FormatError } from './tensor/errors.ts';

/** The prompt of one image, in the form that a batch has. */
export type RecipePrompt =
  | { readonly classes: readonly number[] }
  | { readonly prompts: readonly string[]; readonly width?: number; readonly height?: number }
  | { readonly promptTokens: readonly (readonly number[])[]; readonly width?: number; readonly height?: number };

/** What an image was drawn from, whole. */
export interface Recipe {
  /** Of rasterline. */
  readonly version: string;
  /** As `loadModel` takes it: a name, or a family and a configuration. */
  readonly model: string | ModelOrigin;
  readonly prompt: RecipePrompt;
  /** Every number of the draw; `firstImage` is the image's place in its batch, so that it can be drawn alone. */
  readonly sampling: ImageSampling;
  readonly cache: CacheOptions;
  /** Absent: one line after another. */
  readonly parallel?: ParallelOptions;
  /** How the model was loaded, as far as the caller tells: `dtype`, and where the checkpoints came from. */
  readonly loaded: Readonly<Record<string, string>>;
}

/** As the text chunks of a PNG: who drew it and what, for any viewer, and the whole as JSON in ASCII. */
export function recipeText(recipe: Recipe): Record<string, string> {
  const { prompt } = recipe;
  const said = 'prompts' in prompt ? prompt.prompts[0] : undefined;
  // tEXt chunks hold Latin-1: JSON escapes what is beyond ASCII
  const ascii = (text: string) =>
    text.replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
  return {
    Software: `rasterline ${recipe.version}`,
    Description: ascii(said ?? ('classes' in prompt ? `class ${prompt.classes[0]}` : 'prompt tokens')),
    rasterline: ascii(JSON.stringify(recipe)),
  };
}

/** The recipe among the text chunks of a PNG. Throws FormatError, naming `place`, where there is none that holds together. */
export function parseRecipe(place: string, text: Readonly<Record<string, string>>): Recipe {
  const json = text.rasterline;
  if (json === undefined)
    throw new FormatError(`${place}: expected a picture that rasterline wrote, got one without a recipe`);
  return recipeOfJson(place, json);
}

/** The same from the JSON alone; what else it holds is kept, unchecked. */
export function recipeOfJson(place: string, json: string): Recipe {
  let recipe: Partial<Recipe>;
  try {
    recipe = JSON.parse(json) as Partial<Recipe>;
  } catch {
    throw new FormatError(`${place}: expected a recipe in JSON, got '${json.slice(0, 40)}'`);
  }
  const isRecord = (value: unknown): value is object =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  const { version, model, prompt, sampling, cache, loaded } = recipe ?? {};
  const strings = isRecord(loaded) && Object.values(loaded ?? {}).every((value) => typeof value === 'string');
  if (
    typeof version !== 'string' ||
    !(typeof model === 'string' || (isRecord(model) && typeof model.family === 'string' && isRecord(model.config))) ||
    !strings ||
    ![prompt, sampling, cache].every(isRecord)
  )
    throw new FormatError(
      `${place}: expected a recipe with version, model, prompt, sampling, cache and loaded, got '${json.slice(0, 40)}'`,
    );
  return recipe as Recipe;
}
