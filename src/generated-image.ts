/** A picture that was drawn, and the ways it leaves the library. */

import { writeWhole } from '#source';
import { encodePng, IMAGE, type Picture } from './png.ts';
import type { Recipe } from './recipe.ts';
import { instance } from './tensor/checks.ts';
import { OptionError } from './tensor/errors.ts';
import { checkValue } from './tensor/options.ts';
import { show } from './tensor/show.ts';

/** What a picture is made of: all that crosses to another thread. */
export interface ImageParts extends Picture {
  readonly tokens: Uint32Array<ArrayBuffer>;
}

/**
 * A picture, and the tokens it was decoded from.
 *
 * A structured clone keeps the fields and loses the methods: `new GeneratedImage(clone)` has them again. Throws OptionError
 * for what is no image.
 *
 * @example
 * const [drawn] = await generate(model, { prompt: { classes: [187] } });
 * drawn.toCanvas(document.querySelector('canvas')!);
 */
export class GeneratedImage implements ImageParts {
  readonly width: number;
  readonly height: number;
  /** RGB, 8 bits, row major: [height, width, 3]. */
  readonly pixels: Uint8Array<ArrayBuffer>;
  /** The tokens it was decoded from, in raster order, ends of lines included. */
  readonly tokens: Uint32Array<ArrayBuffer>;

  constructor(parts: ImageParts) {
    const { width, height, pixels } = checkValue('image', IMAGE, parts);
    this.width = width;
    this.height = height;
    this.pixels = pixels;
    this.tokens = checkValue('image: tokens', TOKENS, parts.tokens);
  }

  /** RGBA, opaque. In browsers and workers; throws OptionError where there is no ImageData. */
  toImageData(): ImageData {
    if (typeof ImageData === 'undefined')
      throw new OptionError('toImageData: expected the ImageData of a browser, got none; take `pixels`');
    const { width, height, pixels } = this;
    const image = new ImageData(width, height);
    for (let i = 0; i < image.data.length; i++) image.data[i] = i % 4 === 3 ? OPAQUE : pixels[i - (i >> 2)]!; // RGB of RGBA
    return image;
  }

  /** Gives the canvas the size of the picture and paints it. Throws OptionError for what is no canvas, or one of WebGPU or WebGL. */
  toCanvas(canvas: HTMLCanvasElement | OffscreenCanvas): void {
    const pixels = this.toImageData();
    // a canvas can be of another document, so that no class tells one
    const context = typeof canvas?.getContext === 'function' ? canvas.getContext('2d') : undefined;
    if (!context) throw new OptionError(`toCanvas: expected a canvas that draws in 2d, got ${show(canvas)}`);
    canvas.width = this.width;
    canvas.height = this.height;
    (context as CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D).putImageData(pixels, 0, 0);
  }

  /** A PNG, with a recipe that `readRecipe` reads. */
  toBlob(recipe?: Recipe): Blob {
    return new Blob([encodePng(this, recipe)], { type: 'image/png' });
  }

  /** Writes a PNG, whole or not at all. In Node; throws OptionError for a name of another format, and where it cannot be written. */
  async save(path: string, recipe?: Recipe): Promise<void> {
    if (typeof path !== 'string' || !/[^/\\]\.png$/i.test(path))
      throw new OptionError(`save: expected a file that ends in .png, got ${show(path)}`);
    await writeWhole(path, encodePng(this, recipe));
  }
}

const OPAQUE = 255;

const TOKENS = instance<Uint32Array<ArrayBuffer>>('a Uint32Array', () => Uint32Array);
