/** One image of a set of samples as a job of a queue: all that decides what it is, and where it goes. */

import { CACHE_OPTIONS, type CacheOptions } from '../cache/policy.ts';
import { SAMPLING_OPTIONS, type SamplingOptions } from '../sampler.ts';
import { nested, required, text, whole } from '../tensor/checks.ts';
import type { Check, OptionTable } from '../tensor/options.ts';
import { digestOf, type FolderReference } from './sample-folder.ts';

export interface SampleJob {
  /** Of one image. */
  readonly prompt: object;
  readonly sampling: SamplingOptions;
  readonly cache: CacheOptions;
  readonly identity: number;
  /** Absent: the picture is returned through the queue. */
  readonly folder?: FolderReference;
}

const PROMPT: Check<object> = {
  expected: 'a prompt',
  fits: (value): value is object => typeof value === 'object' && value !== null && !Array.isArray(value),
};

export const SAMPLE_JOB: OptionTable<SampleJob> = {
  place: 'job',
  options: {
    prompt: required(PROMPT), // what is in it is the model's to check
    sampling: required(nested(SAMPLING_OPTIONS.options)),
    cache: required(nested(CACHE_OPTIONS)),
    identity: required(whole(0, 2 ** 31 - 1)),
    folder: nested<FolderReference>({ path: required(text), digest: required(text) }),
  },
};

/** What a worker must be to draw a job: pictures of two kinds must not be mixed. */
export interface WorkerKind {
  readonly version: string;
  readonly model: string;
  /** How it is loaded, as `--dtype`, `--checkpoint` and the like say. */
  readonly loaded: Readonly<Record<string, string>>;
  /** `DriverKind`: floating point rounds differently elsewhere. */
  readonly driver: string;
}

/**
 * The queue of a kind. A worker takes from the queue of its own kind alone, so a job is never given to one of another model,
 * version, weights or driver: it waits for one that fits.
 */
export function queueName({ version, model, loaded, driver }: WorkerKind): string {
  const digest = digestOf(JSON.stringify(Object.entries(loaded).sort())).slice(0, 8);
  return ['rasterline', model, version, driver, digest].join('-');
}

/** For messages. */
export function kindText({ version, model, loaded, driver }: WorkerKind): string {
  const flags = Object.entries(loaded).map(([flag, value]) => `${flag} ${value}`);
  return [`${model} of version ${version} on ${driver}`, ...flags].join(', ');
}
