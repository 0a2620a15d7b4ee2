/** From tokens to pictures. */

import { GeneratedImage } from './generated-image.ts';
import type { ImageModel, LineGrid } from './models/image-model.ts';
import { DecodeError, DeviceError } from './tensor/errors.ts';
import type { Program } from './tensor/program.ts';
import type { Tensor } from './tensor/tensor.ts';

/** What undrawn pixels of a preview are: the middle of the range, as a decoder gives for nothing at all. */
const EMPTY = 128;

type Decodes = Pick<ImageModel<never>, 'runtime' | 'patch' | 'imageTokens' | 'rounding' | 'decode'>;

/**
 * Decodes images one by one: the decoder is recorded once, and its memory does not grow with the batch. Its kernels, which
 * take longer to compile than those of a token, are compiled while tokens are drawn.
 */
export class ImageDecoder {
  /** Of half the lines, for previews; made with the first. */
  #half: Promise<ImageDecoder> | undefined;

  private constructor(
    private readonly model: Decodes,
    private readonly grid: LineGrid,
    private readonly codes: Tensor,
    private readonly program: Program<Tensor>,
  ) {}

  /** Throws DeviceError, and keeps nothing, where limits or memory do not hold a picture of this size. */
  static async open(model: Decodes, grid: LineGrid): Promise<ImageDecoder> {
    const { lines } = grid;
    const lineLength = columnsOf(grid);
    const codes = model.runtime.deferred([lines * lineLength], 'u32', 'codes of one image');
    try {
      const program = await model.runtime.record('decode', () => model.decode(codes, { lines, lineLength }), {
        ahead: true,
      });
      return new ImageDecoder(model, grid, codes, program);
    } catch (error) {
      codes.dispose();
      throw error;
    }
  }

  /** Settles when it is compiled, for which `decode` waits. */
  ready(): Promise<void> {
    return this.program.ready();
  }

  /** Throws DecodeError, with the tokens, where the device fails, and the signal's reason. */
  async decode(images: readonly Uint32Array<ArrayBuffer>[], signal?: AbortSignal): Promise<GeneratedImage[]> {
    const size = this.#size;
    try {
      const all = await this.#pixels(images, signal);
      return all.map((pixels, i) => new GeneratedImage({ ...size, pixels, tokens: images[i]! })); // as many
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
      throw new DecodeError(error.message, images, { cause: error });
    }
  }

  /**
   * Pictures of images that are still being drawn, from the tokens of their first whole lines; the lines after those are
   * plainly empty. Close to what these lines become, and not the same: means and deviations of the whole picture, and
   * pixels that attend to the whole picture, are not known yet. `previewLines` are decoded.
   *
   * Throws DeviceError, where the first finds no memory for half a picture more too, and the signal's reason.
   */
  async preview(images: readonly Uint32Array<ArrayBuffer>[], signal?: AbortSignal): Promise<GeneratedImage[]> {
    const { lines, lineLength } = this.grid;
    const { width, height } = this.#size;
    const drawnLines = (images[0]?.length ?? 0) / lineLength;
    const decoded = this.previewLines(drawnLines);
    // undrawn lines repeat the drawn ones, so that they have the same statistics
    const filled = images.map((tokens) =>
      Uint32Array.from({ length: decoded * lineLength }, (_, i) => tokens[i % tokens.length]!),
    );
    const decoder = decoded < lines ? await this.#ofHalf() : this;
    const all = await decoder.#pixels(filled, signal);
    return all.map((own, i) => {
      const pixels = new Uint8Array(height * width * 3).fill(EMPTY);
      pixels.set(own.subarray(0, drawnLines * this.model.patch * width * 3));
      return new GeneratedImage({ width, height, pixels, tokens: images[i]! }); // as many
    });
  }

  /** Lines that a preview of so many drawn ones decodes: half of them costs half, and fewer look like no picture. */
  previewLines(drawnLines: number): number {
    const half = halfOf(this.grid.lines);
    return drawnLines <= half ? half : this.grid.lines;
  }

  #ofHalf(): Promise<ImageDecoder> {
    this.#half ??= ImageDecoder.open(this.model, { ...this.grid, lines: halfOf(this.grid.lines) });
    return this.#half;
  }

  /** Of a whole picture, in pixels. */
  get #size(): { readonly width: number; readonly height: number } {
    return { width: columnsOf(this.grid) * this.model.patch, height: this.grid.lines * this.model.patch };
  }

  async #pixels(images: readonly Uint32Array<ArrayBuffer>[], signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>[]> {
    const all: Uint8Array<ArrayBuffer>[] = [];
    for (const tokens of images) {
      signal?.throwIfAborted();
      all.push(toBytes(await this.#values(tokens), this.model.rounding));
    }
    return all;
  }

  async #values(tokens: Uint32Array<ArrayBuffer>): Promise<Float32Array> {
    const { lineLength } = this.grid;
    const inPicture = tokens.filter((_, i) => i % lineLength < columnsOf(this.grid));
    await this.ready();
    this.codes.write(inPicture.map((token) => token - this.model.imageTokens.first));
    this.program.run();
    return (await this.program.result.read()) as Float32Array;
  }

  dispose(): void {
    void this.#half?.then((half) => half.dispose()).catch(() => undefined); // told to who asked for the preview
    this.program.dispose();
    this.codes.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

function halfOf(lines: number): number {
  return Math.ceil(lines / 2);
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
