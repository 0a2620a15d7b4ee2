/** Which of several kernels does a piece of work: the likeliest to be fastest, until an adapter is measured. */

import { assert } from './errors.ts';
import type { Candidate } from './tensor.ts';

export class Tuning {
  /** `problem` names the work; candidates come in the order of their prior. */
  choose(problem: string, candidates: readonly Candidate[]): Candidate {
    const [first] = candidates;
    assert(first, `${problem}: expected a kernel that fits this adapter`);
    return first;
  }
}
