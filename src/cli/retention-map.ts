/**
 * Which tokens of the first image are still remembered, as a picture and as an animation of the drawing.
 *
 * A square is the image, a dot of it a token. At the top left stands the mean of all heads; below it a row a layer, first
 * the mean of its heads and then each of them. Held tokens are dark, those in a summary orange, forgotten ones gray, and
 * colors between are shares.
 */

import { FATES, type Retention } from '../cache/retention.ts';
import { optionalPackages } from './optional-packages.ts';

/** What was retained at the end of each line, in order. */
export interface RetentionHistory {
  readonly lineLength: number;
  readonly ends: readonly Retention[];
}

export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly pixels: Uint8Array<ArrayBuffer>;
}

/** Each over the time that a token was there to be remembered: how long it was held, how long part of a summary. */
export function retentionMap({ lineLength, ends }: RetentionHistory): Picture {
  return drawn(ends, lineLength);
}

/** Encodes one frame a line as GIF. */
export type AnimationWriter = (history: RetentionHistory) => Promise<Uint8Array>;

/** Loads what encodes animations. Throws OptionError where it is not installed. */
export async function openAnimation(): Promise<AnimationWriter> {
  const { encode } = await optionalPackages('animation', ['modern-gif'], () => import('modern-gif'));
  return async ({ lineLength, ends }) => {
    const pictures = ends.map((end) => drawn([end], lineLength));
    const { width, height } = pictures[0]!; // an image has a line
    const frames = pictures.map(({ pixels }) => ({ data: withAlpha(pixels), delay: FRAME_MS }));
    return new Uint8Array(await encode({ width, height, frames }));
  };
}

const FRAME_MS = 400;
/** Of a square, about; the longest lines have a pixel a token. */
const SQUARE = 64;
const GAP = 4;

const WAITING = [250, 250, 250];
/** RGB of each of `FATES`. */
const COLORS = [WAITING, [218, 218, 218], [245, 190, 120], [16, 44, 100]];

function drawn(ends: readonly Retention[], lineLength: number): Picture {
  const { layers, kvHeads, tokens } = ends[0]!; // an image has a line
  const dot = Math.max(1, Math.floor(SQUARE / lineLength));
  const [across, down] = [lineLength * dot + GAP, (tokens / lineLength) * dot + GAP];
  const width = GAP + (1 + kvHeads) * across;
  const height = GAP + (1 + layers) * down;
  const pixels = new Uint8Array(3 * width * height).fill(255);
  const square = (column: number, row: number, chosen: readonly (readonly [layer: number, head: number])[]) => {
    for (let token = 0; token < tokens; token++) {
      const rgb = colorOf(ends, chosen, token);
      const left = GAP + column * across + (token % lineLength) * dot;
      const top = GAP + row * down + Math.floor(token / lineLength) * dot;
      for (let y = top; y < top + dot; y++)
        for (let x = left; x < left + dot; x++) pixels.set(rgb, 3 * (y * width + x));
    }
  };
  const heads = Array.from({ length: kvHeads }, (_, head) => head);
  const all = Array.from({ length: layers }, (_, layer) => heads.map((head) => [layer, head] as const));
  square(0, 0, all.flat());
  for (const [layer, ofLayer] of all.entries()) {
    square(0, 1 + layer, ofLayer);
    for (const one of ofLayer) square(1 + one[1], 1 + layer, [one]);
  }
  return { width, height, pixels };
}

/** Mean over heads and over the ends of lines that the token had been fed before; row 0 is the first image. */
function colorOf(
  ends: readonly Retention[],
  chosen: readonly (readonly [layer: number, head: number])[],
  token: number,
): readonly number[] {
  const counts = COLORS.map(() => 0);
  for (const { rows, kvHeads, tokens, fates } of ends)
    for (const [layer, head] of chosen) counts[fates[(layer * rows * kvHeads + head) * tokens + token]!]! += 1;
  counts[FATES.waiting] = 0;
  const count = counts.reduce((sum, one) => sum + one, 0);
  if (count === 0) return WAITING;
  return [0, 1, 2].map((i) => Math.round(COLORS.reduce((sum, rgb, fate) => sum + rgb[i]! * counts[fate]!, 0) / count));
}

function withAlpha(pixels: Uint8Array): Uint8ClampedArray<ArrayBuffer> {
  return Uint8ClampedArray.from({ length: (pixels.length / 3) * 4 }, (_, i) =>
    i % 4 === 3 ? 255 : pixels[3 * (i >> 2) + (i % 4)]!,
  );
}
