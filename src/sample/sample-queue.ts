/** A set of samples through a queue, as the one who wants them sees it: put in, waited for, taken out. */

import type { JobsOptions, Queue } from 'bullmq';
import { orAborted } from '../abort.ts';
import type { SampleJob } from './sample-job.ts';

/** Jobs put in, or asked after, at a time. */
const SLAB = 500;
const POLL_MS = 200;
/** Polls between two looks at who works. */
const LOOK_EVERY = 25;
/** A result that nobody has come for is forgotten. */
const WEEK_S = 7 * 24 * 3600;

const OPTIONS: JobsOptions = { attempts: 3, backoff: { type: 'exponential', delay: 500 } };

/** What became of an image: a worker wrote it, returned it, or could not draw it. */
export type Outcome =
  | { readonly identity: number; readonly state: 'written' }
  | { readonly identity: number; readonly state: 'returned'; readonly png: Uint8Array }
  | { readonly identity: number; readonly state: 'failed'; readonly reason: string };

export interface SampleQueueOptions {
  /** Of the set: the same image of it is the same job, whoever asks for it. */
  readonly set: string;
  readonly signal: AbortSignal;
  /** Whether an image has been written. */
  isWritten(identity: number): Promise<boolean>;
  /** Called with the number of workers when there are none, and when there are some again. */
  onWorkers(workers: number): void;
}

/**
 * Enqueues images and tells what becomes of each. What is in the queue already is not put in twice; what has failed for good
 * is tried anew; what the queue has lost is put in again.
 */
export async function* sampleByQueue(
  queue: Queue,
  jobs: readonly SampleJob[],
  { set, signal, isWritten, onWorkers }: SampleQueueOptions,
): AsyncGenerator<Outcome, void, undefined> {
  const idOf = ({ identity }: SampleJob) => `${set}-${identity}`;
  const told = <T>(work: Promise<T>) => orAborted(work, signal);
  const add = (some: readonly SampleJob[]) => {
    const entries = some.map((data) => {
      const removeOnComplete = data.folder ? true : { age: WEEK_S };
      return { name: 'image', data, opts: { ...OPTIONS, removeOnComplete, jobId: idOf(data) } };
    });
    return told(queue.addBulk(entries));
  };
  const eachOf = (some: readonly SampleJob[]) =>
    told(Promise.all(some.map(async (job) => ({ job, state: await queue.getJobState(idOf(job)) }))));

  for (let at = 0; at < jobs.length; at += SLAB) {
    const slab = jobs.slice(at, at + SLAB);
    await add(slab);
    const failed = (await eachOf(slab)).filter(({ state }) => state === 'failed');
    for (const { job } of failed)
      await told(queue.getJob(idOf(job)).then((found) => found?.retry('failed', { resetAttemptsMade: true })));
  }

  const outcomeOf = async (job: SampleJob, state: string): Promise<Outcome | undefined> => {
    const { identity, folder } = job;
    if (state === 'unknown' || (state === 'completed' && folder)) {
      if (folder && (await isWritten(identity))) return { identity, state: 'written' };
      await add([job]);
      return undefined;
    }
    if (state !== 'completed' && state !== 'failed') return undefined;
    const found = await told(queue.getJob(idOf(job)));
    if (!found) return undefined; // looked at again
    if (state === 'failed') return { identity, state, reason: found.failedReason ?? 'unknown' };
    return { identity, state: 'returned', png: Buffer.from(String(found.returnvalue), 'base64') };
  };

  let waiting = [...jobs];
  let areWorkers = true;
  for (let polls = 0; waiting.length > 0; polls++) {
    if (polls % LOOK_EVERY === 0) {
      const workers = await told(queue.getWorkersCount());
      if (workers > 0 !== areWorkers) onWorkers(workers);
      areWorkers = workers > 0;
    }
    const slab = waiting.slice(0, SLAB);
    const left: SampleJob[] = [];
    for (const { job, state } of await eachOf(slab)) {
      const outcome = await outcomeOf(job, state);
      if (!outcome) left.push(job);
      else {
        yield outcome; // whoever takes it has stored it when it asks for the next
        if (outcome.state === 'returned') await told(queue.remove(idOf(job)));
      }
    }
    waiting = [...waiting.slice(SLAB), ...left];
    if (left.length === slab.length) await told(new Promise((wake) => setTimeout(wake, POLL_MS)));
  }
}
