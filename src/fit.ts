/** What of a run fits into a device. */

import type { CacheOptions } from './cache/policy.ts';
import type { WeightDtype } from './models/family.ts';
import { OptionError } from './tensor/errors.ts';

/** What of a run can be made smaller. */
export interface FittingOptions {
  readonly batch: number;
  readonly dtype: WeightDtype;
  readonly cache: CacheOptions;
}

/** Whether a run fits, and what would. */
export interface Fit {
  /** What the run as asked for needs more of than there is; none where it fits. */
  readonly lacks: readonly Lack[];
  /** What fits: as asked for, or what is nearest to it. Undefined where nothing does. */
  readonly options: FittingOptions | undefined;
}

/** Bytes in all, bytes in one binding, or rows in one dispatch. */
export type Lack = 'memory' | 'binding' | 'rows';

export interface Need {
  readonly totalBytes: number;
  readonly bindingBytes: number;
  readonly rows: number;
}

/** The most of each. */
export interface Room {
  readonly memoryBytes: number;
  readonly bindingBytes: number;
  readonly rows: number;
}

/** The most precise first. */
const DTYPES: readonly WeightDtype[] = ['f32', 'f16', 'int8', 'int4'];

/**
 * (ours) In the order of what changes in the pictures: fewer images at once change nothing, then keys and values in 8 bits,
 * then smaller weights, then fewer lines remembered.
 */
export function fitOf(
  asked: FittingOptions,
  { room, lines, need }: { readonly room: Room; readonly lines: number; need(options: FittingOptions): Need },
): Fit {
  const lacking = (options: FittingOptions): Lack[] => {
    const { totalBytes, bindingBytes, rows } = need(options);
    return [
      ...(totalBytes > room.memoryBytes ? (['memory'] as const) : []),
      ...(bindingBytes > room.bindingBytes ? (['binding'] as const) : []),
      ...(rows > room.rows ? (['rows'] as const) : []),
    ];
  };
  const lacks = lacking(asked);
  if (lacks.length === 0) return { lacks, options: asked };
  for (const options of smaller(asked, lines)) {
    try {
      const fits = (batch: number) => lacking({ ...options, batch }).length === 0;
      if (fits(1)) return { lacks, options: { ...options, batch: mostThatFit(asked.batch, fits) } };
    } catch (error) {
      if (!(error instanceof OptionError)) throw error;
      break; // no policy goes on below the least budget
    }
  }
  return { lacks, options: undefined };
}

/** The most of `wanted` that fits, where one does, and where no more fits than less. */
export function mostThatFit(wanted: number, fits: (count: number) => boolean): number {
  let [most, over] = [1, wanted + 1];
  while (over - most > 1) {
    const middle = Math.floor((most + over) / 2);
    if (fits(middle)) most = middle;
    else over = middle;
  }
  return most;
}

function* smaller({ batch, dtype, cache }: FittingOptions, lines: number): Generator<FittingOptions> {
  const dtypes = DTYPES.slice(DTYPES.indexOf(dtype));
  yield { batch, dtype, cache };
  const small = { ...cache, kvDtype: 'int8' } as const;
  for (const dtype of dtypes) yield { batch, dtype, cache: small };
  const { policy, budgetLines: asked = lines, ...rest } = small;
  const kept = policy === undefined || policy === 'full' ? rest : { ...rest, policy };
  for (let budgetLines = Math.min(asked, lines) - 1; budgetLines > 0; budgetLines--)
    for (const dtype of dtypes) yield { batch, dtype, cache: { ...kept, budgetLines } };
}
