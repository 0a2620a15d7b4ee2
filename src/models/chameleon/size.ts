/** The sizes of images that Lumina-mGPT was trained on. Source: data/item_processor.py, generate_crop_size_list. */

import { OptionError } from '../../tensor/errors.ts';
import type { LineGrid } from '../image-model.ts';
import type { ImageSize } from '../text/prompt.ts';

/** Tokens of a side of a size grid. */
export const GRID_TOKENS = 2;

/** Longest side over shortest. */
const MOST_RATIO = 4;

/** Width and height in size grids. */
export interface Grids {
  readonly across: number;
  readonly down: number;
}

/**
 * All sizes for the area of a square of `side` grids, the widest first: from one row of `side²` grids on, a row is added
 * where the area holds it, else a column is taken away; those of a ratio up to 4 are kept.
 */
export function trainedGrids(side: number): readonly Grids[] {
  const area = side * side;
  const sizes: Grids[] = [];
  let [across, down] = [area, 1];
  while (across > 0) {
    if (Math.max(across, down) / Math.min(across, down) <= MOST_RATIO) sizes.push({ across, down });
    if (across * (down + 1) <= area) down++;
    else across--;
  }
  return sizes;
}

/** The grids of a size in pixels, a grid being `gridPixels` wide. Throws OptionError with near sizes for one not trained. */
export function imageGrids(size: ImageSize, side: number, gridPixels: number): Grids {
  const { width = side * gridPixels, height = side * gridPixels } = size;
  const sizes = trainedGrids(side);
  const found = sizes.find(({ across, down }) => across * gridPixels === width && down * gridPixels === height);
  if (found) return found;
  const distance = ({ across, down }: Grids) =>
    Math.abs(across * gridPixels - width) + Math.abs(down * gridPixels - height);
  const near = [...sizes].sort((a, b) => distance(a) - distance(b)).slice(0, 3);
  const names = near.map(({ across, down }) => `${across * gridPixels} x ${down * gridPixels}`);
  throw new OptionError(
    `size: expected a width and height that the model was trained on, such as ${names.join(', ')}, got ${width} x ${height}`,
  );
}

/** Lines of image tokens, each ended by a newline token; the token that ends the image is not drawn. */
export function lineGrid(across: number, down: number, newline: number): LineGrid {
  return { lines: GRID_TOKENS * down, lineLength: GRID_TOKENS * across + 1, lineEnd: newline };
}
