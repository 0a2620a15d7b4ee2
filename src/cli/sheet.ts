/** A contact sheet: one row of pictures a setting, scaled up, on white. */

import type { GeneratedImage } from '../generated-image.ts';

export interface SheetRow {
  readonly images: readonly GeneratedImage[];
  /** Drawn at the left as a column of ticks, the kept lines dark. */
  readonly keptLines: number;
  readonly lines: number;
}

const SCALE = 3;
const GAP = 8;
const TICKS_WIDTH = 24;

/** RGB picture of all rows, pixels repeated `SCALE` times. */
export function contactSheet(rows: readonly SheetRow[]): {
  readonly width: number;
  readonly height: number;
  readonly pixels: Uint8Array<ArrayBuffer>;
} {
  const first = rows[0]?.images[0];
  if (!first) throw new Error('internal: a sheet without images');
  const [cellWidth, cellHeight] = [first.width * SCALE + GAP, first.height * SCALE + GAP];
  const columns = Math.max(...rows.map(({ images }) => images.length));
  const width = GAP + TICKS_WIDTH + columns * cellWidth;
  const height = GAP + rows.length * cellHeight;
  const pixels = new Uint8Array(width * height * 3).fill(255);
  const paint = (x: number, y: number, rgb: readonly number[]) => pixels.set(rgb, (y * width + x) * 3);
  for (const [r, { images, keptLines, lines }] of rows.entries()) {
    const top = GAP + r * cellHeight;
    const tick = Math.floor((cellHeight - GAP) / lines);
    for (let y = 0; y < tick * lines; y++) {
      const kept = Math.floor(y / tick) < keptLines;
      for (let x = 0; x < TICKS_WIDTH - GAP; x++)
        if (y % tick > 1) paint(GAP + x, top + y, kept ? [60, 60, 60] : [225, 225, 225]);
    }
    for (const [column, image] of images.entries()) {
      const left = GAP + TICKS_WIDTH + column * cellWidth;
      for (let y = 0; y < image.height * SCALE; y++) {
        for (let x = 0; x < image.width * SCALE; x++) {
          const at = (Math.floor(y / SCALE) * image.width + Math.floor(x / SCALE)) * 3;
          paint(left + x, top + y, image.pixels.subarray(at, at + 3) as unknown as readonly number[]);
        }
      }
    }
  }
  return { width, height, pixels };
}
