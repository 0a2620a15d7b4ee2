/** From tokens to pictures. */

import type { ImageModel } from './models/image-model.ts';

export interface GeneratedImage {
  readonly width: number;
  readonly height: number;
  /** RGB, 8 bits, row major: [height, width, 3]. */
  readonly pixels: Uint8Array<ArrayBuffer>;
  /** The tokens it was decoded from, in raster order. */
  readonly tokens: Uint32Array;
}

/** Decodes images one by one: the decoder is recorded once, and its memory does not grow with the batch. */
export async function toPixels<Prompt>(
  model: ImageModel<Prompt>,
  images: readonly Uint32Array<ArrayBuffer>[],
  signal?: AbortSignal,
): Promise<GeneratedImage[]> {
  const { runtime, grid, patch } = model;
  using tokens = runtime.tensor([grid.lines * grid.lineLength], 'u32', 'tokens of one image');
  using decode = await runtime.record('decode', () => model.decode(tokens));
  const pictures: GeneratedImage[] = [];
  for (const image of images) {
    signal?.throwIfAborted();
    tokens.write(image);
    decode.run();
    const values = (await decode.result.read()) as Float32Array;
    pictures.push({
      width: grid.lineLength * patch,
      height: grid.lines * patch,
      pixels: toBytes(values),
      tokens: image,
    });
  }
  return pictures;
}

/** Clamped to [-1, 1], then (x + 1) / 2 · 255, rounded. Source: LlamaGen's save_image with value range (-1, 1). */
export function toBytes(values: Float32Array): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(values, (x) => Math.floor((Math.min(1, Math.max(-1, x)) + 1) * 127.5 + 0.5));
}
