/** From tokens to pictures. */

import type { ImageModel, LineGrid } from './models/image-model.ts';

/** A picture, and the tokens it was decoded from. */
export interface GeneratedImage {
  readonly width: number;
  readonly height: number;
  /** RGB, 8 bits, row major: [height, width, 3]. */
  readonly pixels: Uint8Array<ArrayBuffer>;
  /** The tokens it was decoded from, in raster order, ends of lines included. */
  readonly tokens: Uint32Array;
}

/** Decodes images one by one: the decoder is recorded once, and its memory does not grow with the batch. */
export async function toPixels<Prompt>(
  model: ImageModel<Prompt>,
  grid: LineGrid,
  images: readonly Uint32Array<ArrayBuffer>[],
  signal?: AbortSignal,
): Promise<GeneratedImage[]> {
  const { runtime, patch, imageTokens, rounding } = model;
  const { lines, lineLength, lineEnd } = grid;
  const columns = lineEnd === undefined ? lineLength : lineLength - 1;
  using codes = runtime.tensor([lines * columns], 'u32', 'codes of one image');
  using decode = await runtime.record('decode', () => model.decode(codes, { lines, lineLength: columns }));
  const pictures: GeneratedImage[] = [];
  for (const tokens of images) {
    signal?.throwIfAborted();
    const inPicture = tokens.filter((_, i) => i % lineLength < columns);
    codes.write(inPicture.map((token) => token - imageTokens.first));
    decode.run();
    const values = (await decode.result.read()) as Float32Array;
    pictures.push({ width: columns * patch, height: lines * patch, pixels: toBytes(values, rounding), tokens });
  }
  return pictures;
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
