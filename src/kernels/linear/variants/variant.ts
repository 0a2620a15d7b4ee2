/** What a way to compute a linear layer says of itself. */

import type { Kernel } from '../../../tensor/kernel.ts';
import type { AdapterTraits } from '../../../tensor/traits.ts';
import type { MatrixDtype } from '../weight.ts';

/** One part of a weight, against some rows. */
export interface LinearProblem {
  readonly rows: number;
  readonly inputs: number;
  /** Blocks of LANES outputs in the part. */
  readonly blocks: number;
  readonly paired: boolean;
  readonly dtype: MatrixDtype;
}

/** Sizes of a variant: constants of its kernel. */
export type Tile = Readonly<Record<string, number>>;

export interface LinearVariant {
  readonly kernel: Kernel;
  /** Tiles worth a trial here, the likeliest first; none where the adapter lacks what the kernel needs. */
  tiles(problem: LinearProblem, adapter: AdapterTraits): readonly Tile[];
  workgroups(problem: LinearProblem, tile: Tile): readonly [number, number];
}

/** Rows of a tile: a few sizes for all numbers of rows, so that another number rarely needs another pipeline. */
export function rowTile(rows: number): number {
  return [1, 2, 4].find((tile) => rows <= tile) ?? 8;
}
