/** Pictures as PNG files, with what they were drawn from. */

import { pngOf, pngTexts } from './png-chunks.ts';
import { parseRecipe, type Recipe, recipeText } from './recipe.ts';
import { instance, text, whole } from './tensor/checks.ts';
import { FormatError } from './tensor/errors.ts';
import { type Check, checkValue } from './tensor/options.ts';

/** Longest side of a PNG that viewers take. */
const MOST_PIXELS = 2 ** 16;

/** Pixels of a picture. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  /** RGB, 8 bits, row major: [height, width, 3]. */
  readonly pixels: Uint8Array<ArrayBuffer>;
}

export const IMAGE: Check<Picture> = {
  expected: `an image { width, height, pixels } of 3 bytes a pixel, at most ${MOST_PIXELS} pixels a side`,
  fits: (value): value is Picture => {
    const { width, height, pixels } = value as Picture; // what has no such fields throws, and so does not fit
    const isSide = whole(1, MOST_PIXELS).fits;
    const isBytes = pixels instanceof Uint8Array || (pixels as unknown) instanceof Uint8ClampedArray;
    return isSide(width) && isSide(height) && isBytes && pixels.length === 3 * width * height;
  },
};

export const PNG = instance<Uint8Array>('bytes (a Uint8Array)', () => Uint8Array);

/**
 * RGB, 8 bits, as a PNG file's bytes; with a recipe in text chunks that `readRecipe` reads.
 * Throws OptionError for what is no image.
 *
 * @example
 * const [image] = await generate(model, { prompt: { classes: [84] } });
 * const url = URL.createObjectURL(new Blob([encodePng(image)], { type: 'image/png' }));
 */
export function encodePng(image: Picture, recipe?: Recipe): Uint8Array<ArrayBuffer> {
  return pngOf(checkValue('image', IMAGE, image), recipe ? recipeText(recipe) : {});
}

/**
 * What a picture was drawn from. Throws FormatError for what is no PNG, and for one without a recipe; `name` names it there.
 *
 * @example
 * const { model, prompt, sampling, cache } = readRecipe(await readFile('tiger.png'));
 */
export function readRecipe(png: Uint8Array, name = 'picture'): Recipe {
  checkValue('png', PNG, png);
  checkValue('name', text, name);
  let chunks: Readonly<Record<string, string>>;
  try {
    chunks = pngTexts(png);
  } catch (cause) {
    throw new FormatError(`${name}: expected a PNG, got ${(cause as Error).message}`, { cause });
  }
  return parseRecipe(name, chunks);
}
