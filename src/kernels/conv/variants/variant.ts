/** What a way to compute a convolution says of itself. */

import type { Kernel } from '../../../tensor/kernel.ts';
import type { AdapterTraits } from '../../../tensor/traits.ts';

/** One part of a weight, against some rows of an image. */
export interface ConvProblem {
  /** Of y. */
  readonly rows: number;
  readonly columns: number;
  readonly inputs: number;
  /** Outputs of the part. */
  readonly width: number;
  readonly upsample: boolean;
  readonly dtype: 'f32' | 'f16';
}

/** Sizes of a variant: constants of its kernel. A thread owns PIXELS neighbors in a row, and UNITS outputs of each. */
export type ConvTile = Readonly<Record<'PIXELS' | 'UNITS' | 'WIDTH' | 'GROUP', number>> & {
  readonly SUBGROUP?: number;
};

export interface ConvVariant {
  readonly kernel: Kernel;
  /** Tiles worth a trial here, the likeliest first; none where the adapter lacks what the kernel needs. */
  tiles(problem: ConvProblem, adapter: AdapterTraits): readonly ConvTile[];
}

/** Outputs of a thread: few weights, such as those of three colors, need no more threads than one output each. */
export function fewerUnits(units: readonly number[], width: number, lanes: number): readonly number[] {
  const fitting = units.filter((count) => count === 1 || (count - 1) * lanes < width);
  return fitting.length > 0 ? fitting : [1];
}
