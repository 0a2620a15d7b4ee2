/** The table of variants, and which is the likeliest on an adapter that nobody has measured. */

import type { AdapterTraits } from '../../../tensor/traits.ts';
import { broadcast } from './broadcast.ts';
import { registers } from './registers.ts';
import type { LinearProblem, LinearVariant, Tile } from './variant.ts';

export const VARIANTS: Readonly<Record<string, LinearVariant>> = { broadcast, registers };

export interface LinearCandidate {
  /** Variant and tile in words, such as `broadcast TILE=8 UNITS=2 WIDTH=8`. */
  readonly name: string;
  readonly variant: LinearVariant;
  readonly tile: Tile;
}

/** All ways to solve a problem on this adapter, the likeliest first. */
export function candidates(problem: LinearProblem, adapter: AdapterTraits): readonly LinearCandidate[] {
  return prior(adapter).flatMap((key) => {
    const variant = VARIANTS[key]!; // the keys are those of the table
    return variant.tiles(problem, adapter).map((tile) => ({ name: describe(key, tile), variant, tile }));
  });
}

/** (ours) Measured on lavapipe 25 and SwiftShader 5 with bench/kernels; no GPU has been measured. */
function prior({ kind }: AdapterTraits): readonly (keyof typeof VARIANTS)[] {
  return kind === 'lavapipe' || kind === 'swiftshader' ? ['broadcast', 'registers'] : ['registers', 'broadcast'];
}

function describe(key: string, tile: Tile): string {
  return [key, ...Object.entries(tile).map(([name, value]) => `${name}=${value}`)].join(' ');
}
