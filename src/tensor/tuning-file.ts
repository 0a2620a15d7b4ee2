/**
 * Choices of kernels as a text that outlives the process:
 *
 *     { "adapter": "mesa, software, ...", "library": "0.1.0", "choices": { "<problem>": "<candidate>" } }
 *
 * They hold for one adapter with its driver, and for one version of this library.
 */

import { FormatError } from './errors.ts';
import { show } from './show.ts';

export interface TuningIdentity {
  /** With its driver's version. */
  readonly adapter: string;
  /** Version of this library. */
  readonly library: string;
}

/** Of most file systems, less a suffix. */
const MOST_NAME = 200;

/** A name for the file; that another adapter could have the same does no harm, since the text says whose it is. */
export function tuningFile({ adapter, library }: TuningIdentity): string {
  const plain = `${library} ${adapter}`.toLowerCase().replace(/[^a-z0-9.]+/g, '-');
  return `${plain.slice(0, MOST_NAME)}.json`;
}

export function tuningText({ adapter, library }: TuningIdentity, choices: ReadonlyMap<string, string>): string {
  return `${JSON.stringify({ adapter, library, choices: Object.fromEntries(choices) }, undefined, 2)}\n`;
}

/** Throws FormatError for a text that is damaged, or of another adapter, driver or version. */
export function parseTuning(place: string, text: string, identity: TuningIdentity): ReadonlyMap<string, string> {
  const parsed = parsedObject(place, text);
  for (const key of ['adapter', 'library'] as const)
    if (parsed[key] !== identity[key])
      throw new FormatError(`${place}: expected ${key} ${identity[key]}, got ${show(parsed[key])}`);
  const { choices } = parsed;
  if (!isObject(choices)) throw new FormatError(`${place}: expected choices by problem, got ${show(choices)}`);
  return new Map(
    Object.entries(choices).map(([problem, name]) => {
      if (typeof name === 'string') return [problem, name];
      throw new FormatError(`${place}: expected the name of a kernel for ${problem}, got ${show(name)}`);
    }),
  );
}

function parsedObject(place: string, text: string): Record<string, unknown> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw new FormatError(`${place}: expected JSON, got ${(cause as Error).message}`, { cause });
  }
  if (isObject(parsed)) return parsed;
  throw new FormatError(`${place}: expected an object, got ${show(parsed)}`);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
