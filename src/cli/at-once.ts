/** How many images are drawn at once: what memory holds, by a plan. */

import { freemem } from 'node:os';
import { type Command, InvalidArgumentError } from 'commander';
import type { CacheOptions } from '../cache/policy.ts';
import type { WeightDtype } from '../models/family.ts';
import type { FamilyModel } from '../models/registry.ts';
import { imagesThatFit } from '../runs.ts';
import type { Runtime } from '../tensor/runtime.ts';
import { megabytes, number } from './options.ts';

export interface AtOnceFlags {
  readonly atOnce?: number;
  readonly memory?: number;
}

export function addAtOnceOptions(command: Command): Command {
  return command
    .option('--at-once <images>', 'images drawn at once (default: what memory holds)', number)
    .option(
      '--memory <size>',
      'what the device may hold, such as 8GB (default on software drivers: what is free)',
      bytes,
    );
}

/**
 * At most `images`. A GPU does not tell its memory, and all are drawn at once where no one says it. What is split is said
 * in one line on stderr.
 */
export async function imagesAtOnce(
  { kind, isSoftware }: Pick<Runtime, 'kind' | 'isSoftware'>,
  images: number,
  {
    flags,
    name,
    cache,
    loaded,
  }: {
    readonly flags: AtOnceFlags;
    readonly name: string | FamilyModel;
    readonly cache: CacheOptions;
    readonly loaded: Readonly<Record<string, string>>;
  },
): Promise<number> {
  const { atOnce = images, memory } = flags;
  const memoryBytes = memory ?? (isSoftware && kind !== 'null' ? freemem() : undefined);
  const most = Math.min(images, atOnce);
  if (memoryBytes === undefined || flags.atOnce !== undefined) return most;
  const { dtype, vqPreset } = loaded;
  const options = { memoryBytes, cache, ...(dtype && { dtype: dtype as WeightDtype }), ...(vqPreset && { vqPreset }) };
  const fits = await imagesThatFit(name, most, options);
  if (fits < images)
    process.stderr.write(
      `${images} images do not fit in ${megabytes(memoryBytes)}: ${fits} at once, in ${Math.ceil(images / fits)} runs\n`,
    );
  return fits;
}

/** `8GB`, `500 MB`, or a number of bytes, for commander. */
export function bytes(text: string): number {
  const [, digits, unit = ''] = /^(\d+(?:\.\d+)?) ?([kMGT]?)B?$/.exec(text) ?? [];
  const value = Math.floor(Number(digits) * 1000 ** ['', 'k', 'M', 'G', 'T'].indexOf(unit));
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new InvalidArgumentError(`expected a size such as 8GB, got '${text}'`);
}
