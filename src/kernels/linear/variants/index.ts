import type { AdapterTraits } from '../../../tensor/traits.ts';
import { type Candidate, candidatesOf } from '../../variants.ts';
import { broadcast } from './broadcast.ts';
import { registers } from './registers.ts';
import type { LinearProblem, LinearVariant, Tile } from './variant.ts';
import { workgroup } from './workgroup.ts';

export const VARIANTS = { broadcast, registers, workgroup } as const satisfies Readonly<Record<string, LinearVariant>>;

/** All ways to solve a problem on this adapter, the likeliest first. */
export function candidates(problem: LinearProblem, adapter: AdapterTraits): readonly Candidate<LinearVariant, Tile>[] {
  return candidatesOf(VARIANTS, problem, adapter);
}
