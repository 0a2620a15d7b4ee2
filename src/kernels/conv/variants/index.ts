import type { AdapterTraits } from '../../../tensor/traits.ts';
import { type Candidate, candidatesOf } from '../../variants.ts';
import { broadcast } from './broadcast.ts';
import { registers } from './registers.ts';
import type { ConvProblem, ConvTile, ConvVariant } from './variant.ts';

export const VARIANTS = { broadcast, registers } as const satisfies Readonly<Record<string, ConvVariant>>;

/** All ways to solve a problem on this adapter, the likeliest first. */
export function candidates(problem: ConvProblem, adapter: AdapterTraits): readonly Candidate<ConvVariant, ConvTile>[] {
  return candidatesOf(VARIANTS, problem, adapter);
}
