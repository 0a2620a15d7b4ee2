/** Pictures as PNG files, with what they were drawn from. */

import { decode, encode } from 'fast-png';
import type { GeneratedImage } from './image.ts';
import { parseRecipe, type Recipe, recipeText } from './recipe.ts';
import { FormatError } from './tensor/errors.ts';

/**
 * RGB, 8 bits, as a PNG file's bytes; with a recipe in text chunks that `readRecipe` reads.
 *
 * @example
 * const [image] = await generate(model, { prompt: { classes: [84] } });
 * const url = URL.createObjectURL(new Blob([encodePng(image)], { type: 'image/png' }));
 */
export function encodePng(
  { width, height, pixels }: Pick<GeneratedImage, 'width' | 'height' | 'pixels'>,
  recipe?: Recipe,
): Uint8Array<ArrayBuffer> {
  const text = recipe && { text: recipeText(recipe) };
  return new Uint8Array(encode({ width, height, data: pixels, channels: 3, depth: 8, ...text }));
}

/**
 * What a picture was drawn from. Throws FormatError for what is no PNG, and for one without a recipe; `name` names it there.
 *
 * @example
 * const { model, prompt, sampling, cache } = readRecipe(await readFile('tiger.png'));
 */
export function readRecipe(png: Uint8Array, name = 'picture'): Recipe {
  let text: Readonly<Record<string, string>>;
  try {
    text = decode(png, { checkCrc: true }).text;
  } catch (cause) {
    throw new FormatError(`${name}: expected a PNG, got ${(cause as Error).message}`, { cause });
  }
  return parseRecipe(name, text);
}
