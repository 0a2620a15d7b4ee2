/** Pictures as PNG files. */

import { encode } from 'fast-png';
import type { GeneratedImage } from './image.ts';

/** RGB, 8 bits, as a PNG file's bytes. */
export function encodePng({
  width,
  height,
  pixels,
}: Pick<GeneratedImage, 'width' | 'height' | 'pixels'>): Uint8Array<ArrayBuffer> {
  return new Uint8Array(encode({ width, height, data: pixels, channels: 3, depth: 8 }));
}
