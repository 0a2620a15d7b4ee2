/** The score of a caller's own policy is compiled before anything is allocated, and faults are told in the lines of its text. */

import { scoreConstants, scoreKernel } from '../kernels/attention/score.ts';
import type { Dtype } from '../tensor/dtype.ts';
import { OptionError } from '../tensor/errors.ts';
import type { Runtime } from '../tensor/runtime.ts';
import { POLICIES } from './policies/index.ts';
import type { CachePlan, KvDtype } from './policy.ts';

/** Throws OptionError with the line of the policy's text that does not compile. */
export async function expectScore(
  runtime: Runtime,
  shape: { readonly headDim: number; readonly dtype: KvDtype },
  { policy, score, observe }: CachePlan,
): Promise<void> {
  if (Object.values(POLICIES).some((known) => known === policy)) return;
  const isScored = observe !== 'nothing';
  const dtype: Dtype = shape.dtype === 'int8' ? 'u32' : shape.dtype;
  const words = {
    positions: 'u32',
    rowOffsets: 'u32',
    ranking: 'f32',
    marks: 'u32',
    step: 'u32',
    sizes: 'u32',
  } as const;
  const dtypes = { keys: dtype, values: dtype, ...(isScored && { scores: 'f32' as const }), ...words };
  const { code, faults } = await runtime.pipelines.faults(
    scoreKernel(score),
    dtypes,
    scoreConstants(shape.headDim, isScored, dtype),
  );
  const [fault] = faults;
  if (!fault) return;
  // the text is in the code once more, before it: in the name of the kernel
  const line = fault.line - code.slice(0, code.lastIndexOf(score)).split('\n').length + 1;
  const text = score.split('\n')[line - 1];
  // a fault beyond the text, such as a missing function score, shows where the kernel calls it
  const where = text === undefined ? 'outside its text' : `in line ${line}, '${text.trim()}'`;
  throw new OptionError(
    `cache.policy: expected the score of ${policy.name} to compile, got ${where}: ${fault.message}`,
  );
}
