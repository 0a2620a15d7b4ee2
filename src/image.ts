/** From tokens to pictures. */

import { GeneratedImage } from './generated-image.ts';
import type { ImageModel, LineGrid } from './models/image-model.ts';
import { DecodeError, DeviceError } from './tensor/errors.ts';
import type { Program } from './tensor/program.ts';
import type { Tensor } from './tensor/tensor.ts';

/** What undrawn pixels of a preview are: the middle of the range, as a decoder gives for nothing at all. */
const EMPTY = 128;

/** Decodes images one by one: the decoder is recorded once, and its memory does not grow with the batch. */
export class ImageDecoder {
  private constructor(
    private readonly model: Pick<ImageModel<never>, 'runtime' | 'patch' | 'imageTokens' | 'rounding'>,
    private readonly grid: LineGrid,
    private readonly codes: Tensor,
    private readonly program: Program<Tensor>,
  ) {}

  /** Throws DeviceError, and keeps nothing, where limits or memory do not hold a picture of this size. */
  static async open<Prompt>(model: ImageModel<Prompt>, grid: LineGrid): Promise<ImageDecoder> {
    const { lines } = grid;
    const lineLength = columnsOf(grid);
    const codes = model.runtime.deferred([lines * lineLength], 'u32', 'codes of one image');
    try {
      const program = await model.runtime.record('decode', () => model.decode(codes, { lines, lineLength }));
      return new ImageDecoder(model, grid, codes, program);
    } catch (error) {
      codes.dispose();
      throw error;
    }
  }

  /** Throws DecodeError, with the tokens, where the device fails, and the signal's reason. */
  async decode(images: readonly Uint32Array<ArrayBuffer>[], signal?: AbortSignal): Promise<GeneratedImage[]> {
    const { patch, rounding } = this.model;
    const width = columnsOf(this.grid) * patch;
    const height = this.grid.lines * patch;
    const pictures: GeneratedImage[] = [];
    for (const tokens of images) {
      signal?.throwIfAborted();
      try {
        const pixels = toBytes(await this.#values(tokens), rounding);
        pictures.push(new GeneratedImage({ width, height, pixels, tokens }));
      } catch (error) {
        if (!(error instanceof DeviceError)) throw error;
        throw new DecodeError(error.message, images, { cause: error });
      }
    }
    return pictures;
  }

  /**
   * Pictures of images that are still being drawn, from the tokens of their first whole lines; the lines after those are
   * plainly empty. Close to what these lines become, and not the same: means and deviations of the whole picture, and
   * pixels that attend to the whole picture, are not known yet.
   *
   * Throws as `decode`.
   */
  async preview(images: readonly Uint32Array<ArrayBuffer>[], signal?: AbortSignal): Promise<GeneratedImage[]> {
    const { lines, lineLength } = this.grid;
    // undrawn lines repeat the drawn ones, so that they have the same statistics
    const filled = images.map((tokens) =>
      Uint32Array.from({ length: lines * lineLength }, (_, i) => tokens[i % tokens.length]!),
    );
    const pictures = await this.decode(filled, signal);
    return pictures.map((picture, i) => {
      const tokens = images[i]!; // as many
      const drawn = (tokens.length / lineLength) * this.model.patch * picture.width * 3;
      return new GeneratedImage({ ...picture, tokens, pixels: picture.pixels.fill(EMPTY, drawn) });
    });
  }

  async #values(tokens: Uint32Array<ArrayBuffer>): Promise<Float32Array> {
    const { lineLength } = this.grid;
    const inPicture = tokens.filter((_, i) => i % lineLength < columnsOf(this.grid));
    this.codes.write(inPicture.map((token) => token - this.model.imageTokens.first));
    this.program.run();
    return (await this.program.result.read()) as Float32Array;
  }

  dispose(): void {
    this.program.dispose();
    this.codes.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Tokens of a line that are part of the picture. */
export function columnsOf({ lineLength, lineEnd }: LineGrid): number {
  return lineEnd === undefined ? lineLength : lineLength - 1;
}

/**
 * Clamped to [-1, 1], then (x + 1) / 2 · 255, to the nearest byte or down.
 *
 * Sources: LlamaGen's save_image with value range (-1, 1) rounds; Janus and Lumina-mGPT convert to uint8, which truncates.
 */
export function toBytes(values: Float32Array, rounding: 'nearest' | 'truncate' = 'nearest'): Uint8Array<ArrayBuffer> {
  const add = rounding === 'nearest' ? 0.5 : 0;
  return Uint8Array.from(values, (x) => Math.floor((Math.min(1, Math.max(-1, x)) + 1) * 127.5 + add));
}
