/** Every candidate of a kernel in turn, as tuning would choose them. */

import type { Runtime } from '../../src/tensor/runtime.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { compute } from './runtime.ts';

/** What `build` gives under each candidate of the one choice it makes, by the candidate's name, that of the prior first. */
export async function computeEach(
  runtime: Runtime,
  build: () => Tensor,
): Promise<ReadonlyMap<string, Float32Array<ArrayBuffer>>> {
  const results = new Map<string, Float32Array<ArrayBuffer>>();
  let names: readonly string[] = [''];
  for (let i = 0; i < names.length; i++) {
    const y = await compute(runtime, () =>
      runtime.tuning.choosing((_problem, candidates) => {
        names = candidates.map(({ name }) => name);
        return candidates[i];
      }, build),
    );
    results.set(names[i]!, y);
  }
  return results;
}
