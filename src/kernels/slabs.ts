/** How images are cut: into slabs, whose moments are taken apart, and into bands, which fit into a binding. */

/** Pixels of a slab: about as many slabs as pixels in one, so that neither level sums much, and enough threads. */
export function pickSlab(pixels: number): number {
  return Math.min(512, 2 ** Math.ceil(Math.log2(pixels) / 2));
}

/** (ours) Large enough to fill any GPU, small enough that a few of them beside an image weigh little. */
export const BAND_BYTES = 32 * 2 ** 20;

/**
 * Rows of a band, so that a band, and two rows more at its edges, has at most `bandBytes`; all rows where they fit. Bands
 * are whole slabs, so that no moment depends on them.
 */
export function pickBandRows(
  { rows, columns, channels }: { readonly rows: number; readonly columns: number; readonly channels: number },
  bandBytes: number,
): number {
  const fitting = Math.floor(bandBytes / (4 * columns * channels));
  if (rows <= fitting) return rows;
  const slab = pickSlab(rows * columns);
  // a power of two, as slabs are
  let step = 1;
  while ((step * columns) % slab !== 0) step *= 2;
  return Math.max(step, Math.floor((fitting - 2) / step) * step);
}
