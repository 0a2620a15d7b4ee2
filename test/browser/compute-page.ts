/** Runs in the page: the platform layer of browsers and one compute shader. */

import { findAdapter } from '#device';
import { doubled } from '../support/doubled.ts';

export { fileSource } from '#source';

export interface ComputeResult {
  readonly description: string;
  readonly numbers: readonly number[];
}

export async function compute(numbers: readonly number[]): Promise<ComputeResult> {
  const found = await findAdapter();
  const device = await found.adapter.requestDevice();
  return { description: found.description, numbers: await doubled(device, numbers) };
}
