/** The table of variants, and which is the likeliest on an adapter that nobody has measured. */

import type { AdapterTraits } from '../../../tensor/traits.ts';
import { broadcast } from './broadcast.ts';
import { registers } from './registers.ts';
import type { ConvProblem, ConvTile, ConvVariant } from './variant.ts';

export const VARIANTS = { broadcast, registers } as const satisfies Readonly<Record<string, ConvVariant>>;

export interface ConvCandidate {
  /** Variant and tile in words, such as `broadcast PIXELS=8 UNITS=2 WIDTH=8`. */
  readonly name: string;
  readonly variant: ConvVariant;
  readonly tile: ConvTile;
}

/** All ways to solve a problem on this adapter, the likeliest first. */
export function candidates(problem: ConvProblem, adapter: AdapterTraits): readonly ConvCandidate[] {
  return prior(adapter).flatMap((key) =>
    VARIANTS[key].tiles(problem, adapter).map((tile) => ({ name: describe(key, tile), variant: VARIANTS[key], tile })),
  );
}

/** (ours) Measured on lavapipe 25 and SwiftShader 5 with bench/kernels; no GPU has been measured. */
function prior({ kind }: AdapterTraits): readonly (keyof typeof VARIANTS)[] {
  return kind === 'lavapipe' || kind === 'swiftshader' ? ['broadcast', 'registers'] : ['registers', 'broadcast'];
}

function describe(key: string, tile: ConvTile): string {
  return [key, ...Object.entries(tile).map(([name, value]) => `${name}=${value}`)].join(' ');
}
