/** Every candidate of a kernel in turn, as tuning would choose them. */

import type { Runtime } from '../../src/tensor/runtime.ts';
import type { Candidate, Tensor } from '../../src/tensor/tensor.ts';
import { compute } from './runtime.ts';

/** What `build` gives under each candidate of the one choice it makes, by the candidate's name, that of the prior first. */
export async function computeEach(
  runtime: Runtime,
  build: () => Tensor,
): Promise<ReadonlyMap<string, Float32Array<ArrayBuffer>>> {
  const { choose } = runtime.tuning;
  const results = new Map<string, Float32Array<ArrayBuffer>>();
  let count = 1;
  try {
    for (let i = 0; i < count; i++) {
      let name = '';
      runtime.tuning.choose = (_problem: string, candidates: readonly Candidate[]) => {
        count = candidates.length;
        name = candidates[i]!.name;
        return candidates[i]!;
      };
      const y = await compute(runtime, build);
      results.set(name, y);
    }
  } finally {
    runtime.tuning.choose = choose;
  }
  return results;
}
