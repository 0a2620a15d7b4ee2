/** Which of several kernels does a piece of work: the one that was found fastest on this adapter, else the first. */

import { assert } from './errors.ts';
import type { Candidate } from './tensor.ts';

export class Tuning {
  readonly #chosen = new Map<string, string>();

  /** `problem` names the work; candidates come in the order of their prior. */
  choose(problem: string, candidates: readonly Candidate[]): Candidate {
    const name = this.#chosen.get(problem);
    const chosen = candidates.find((candidate) => candidate.name === name) ?? candidates[0];
    assert(chosen, `${problem}: expected a kernel that fits this adapter`);
    return chosen;
  }

  remember(problem: string, name: string): void {
    this.#chosen.set(problem, name);
  }

  /** Name of the candidate by problem. */
  get entries(): ReadonlyMap<string, string> {
    return this.#chosen;
  }
}
