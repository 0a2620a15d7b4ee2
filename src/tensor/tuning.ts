/** Which of several kernels does a piece of work: the fastest as it was measured on this adapter, else the likeliest. */

import { adapterIdentity, type CachedText, cachedText } from '#device';
import { VERSION } from '../version.ts';
import { assert, RasterlineError } from './errors.ts';
import type { Candidate } from './tensor.ts';
import { parseTuning, type TuningIdentity, tuningFile, tuningText } from './tuning-file.ts';

/** Answers which candidate is taken for a problem, or leaves it to what is remembered. */
export type Choose = (problem: string, candidates: readonly Candidate[]) => Candidate | undefined;

/** What a runtime knew when it was opened. */
export type TuningState =
  /** Nobody has measured this adapter. */
  | { readonly state: 'priors' }
  | { readonly state: 'remembered'; readonly file: string; readonly problems: number }
  /** What is stored cannot be used, and why. */
  | { readonly state: 'ignored'; readonly error: RasterlineError };

export class Tuning {
  readonly #chosen = new Map<string, string>();
  #override: Choose | undefined;
  state: TuningState = { state: 'priors' };

  /** `problem` names the work; candidates come in the order of their prior. */
  choose(problem: string, candidates: readonly Candidate[]): Candidate {
    const name = this.#chosen.get(problem);
    const chosen =
      this.#override?.(problem, candidates) ?? candidates.find((candidate) => candidate.name === name) ?? candidates[0];
    assert(chosen, `${problem}: expected a kernel that fits this adapter`);
    return chosen;
  }

  /** Lets `choose` have the choice while `build` records, where it answers. */
  choosing<T>(choose: Choose, build: () => T): T {
    this.#override = choose;
    try {
      return build();
    } finally {
      this.#override = undefined;
    }
  }

  /** Programs recorded from now on take the candidate `name` for `problem`. */
  remember(problem: string, name: string): void {
    this.#chosen.set(problem, name);
  }

  /** Takes what earlier runs stored for such an adapter. Never throws: what cannot be used is ignored, and `state` says why. */
  async recall(adapter: GPUAdapterInfo, library = VERSION): Promise<void> {
    const { file, identity } = stored(adapter, library);
    try {
      const text = await file.read();
      if (text === undefined) return;
      const choices = parseTuning(file.place, text, identity);
      for (const [problem, name] of choices) this.remember(problem, name);
      this.state = { state: 'remembered', file: file.place, problems: choices.size };
    } catch (error) {
      if (!(error instanceof RasterlineError)) throw error;
      this.state = { state: 'ignored', error };
    }
  }

  /** Stores all choices for later runs; returns where. Throws StorageError. */
  async save(adapter: GPUAdapterInfo, library = VERSION): Promise<string> {
    const { file, identity } = stored(adapter, library);
    await file.write(tuningText(identity, this.#chosen));
    return file.place;
  }
}

function stored(
  info: GPUAdapterInfo,
  library: string,
): { readonly file: CachedText; readonly identity: TuningIdentity } {
  const identity = { adapter: adapterIdentity(info), library };
  return { file: cachedText(tuningFile(identity)), identity };
}
