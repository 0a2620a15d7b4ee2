/** Options of `loadModel` as they cross to a worker. */

import { absoluteName } from '#source';
import type { LoadModelOptions } from '../models/load-model.ts';
import { OptionError } from '../tensor/errors.ts';
import { BYTE_SOURCE } from '../tensor/source/bytes.ts';
import { FILE_SET, type PickedSet } from '../tensor/source/file-set.ts';

/** Names are those of the page, wherever the worker's file lies. Throws OptionError for what reads by itself. */
export function sentOptions(options: LoadModelOptions): object {
  return Object.fromEntries(Object.entries(options).map(([name, value]) => [name, sentValue(name, value)]));
}

function sentValue(name: string, value: unknown): unknown {
  if (value instanceof URL) return value.href;
  if (typeof value === 'string') return FILES.includes(name) ? absoluteName(value) : value;
  if (!FILE_SET.fits(value) && !BYTE_SOURCE.fits(value)) return value;
  const { picked } = value as Partial<PickedSet>;
  if (picked) return picked;
  throw new OptionError(
    `${name}: expected a name, a Blob, bytes or pickedSet for a worker, got one that reads by itself`,
  );
}

const FILES: readonly string[] = ['checkpoint', 'vq', 'textEncoder', 'tokenizer', 'tokenizerConfig'];
