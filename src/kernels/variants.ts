/** Ways to compute one thing: which there are on an adapter, and which is the likeliest where nobody has measured. */

import type { AdapterTraits } from '../tensor/traits.ts';

/** Of a way, what a choice needs: tiles worth a trial, the likeliest first; none where the adapter lacks what it needs. */
interface Tiled<Problem, Tile> {
  tiles(problem: Problem, adapter: AdapterTraits): readonly Tile[];
}

export interface Candidate<Variant, Tile> {
  /** Variant and tile in words, such as `broadcast TILE=8 UNITS=2 WIDTH=8`. */
  readonly name: string;
  readonly variant: Variant;
  readonly tile: Tile;
}

/** (ours) Measured on lavapipe 25 and SwiftShader 5 with bench/kernels; no GPU has been measured. */
function prior({ kind }: AdapterTraits): readonly string[] {
  const isMeasured = kind === 'lavapipe' || kind === 'swiftshader';
  return isMeasured ? ['broadcast', 'registers'] : ['workgroup', 'registers', 'broadcast'];
}

/** All ways of a table to solve a problem on this adapter, the likeliest first. */
export function candidatesOf<Problem, Tile extends object, Variant extends Tiled<Problem, Tile>>(
  variants: Readonly<Record<string, Variant>>,
  problem: Problem,
  adapter: AdapterTraits,
): readonly Candidate<Variant, Tile>[] {
  return prior(adapter).flatMap((key) => {
    const variant = variants[key];
    if (!variant) return []; // not in this table
    return variant.tiles(problem, adapter).map((tile) => ({ name: describe(key, tile), variant, tile }));
  });
}

function describe(key: string, tile: object): string {
  return [key, ...Object.entries(tile).map(([name, value]) => `${name}=${value}`)].join(' ');
}
