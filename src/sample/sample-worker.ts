/**
 * A worker: takes images from the queue of its kind, as many as it draws at once, draws and stores them.
 *
 * Jobs are fetched by hand (https://docs.bullmq.io/patterns/manually-fetching-jobs), because those of a run belong together.
 * As long as this worker says that it lives they are its own; when it falls silent the queue gives them to others.
 */

import { randomUUID } from 'node:crypto';
import type { Job, Worker } from 'bullmq';
import { orAborted } from '../abort.ts';
import { DeviceError, RasterlineError, StorageError } from '../tensor/errors.ts';
import { checkOptions } from '../tensor/options.ts';
import { QueueError } from './queue-connection.ts';
import { SampleFolder } from './sample-folder.ts';
import { SAMPLE_JOB, type SampleJob } from './sample-job.ts';

export interface SampleWorkerOptions {
  /** Most images of a run. */
  readonly atOnce: number;
  /** As the worker's `lockDuration`. */
  readonly lockMs: number;
  /** Ends the work: what is not drawn goes back. */
  readonly signal: AbortSignal;
  /** The PNG files of jobs that may share a run. */
  draw(jobs: readonly SampleJob[], onLine: (line: number, lines: number) => void): Promise<readonly Uint8Array[]>;
  /** Images of a run that are drawn and stored. */
  onDrawn(images: number): void;
  say(line: string): void;
}

interface Taken {
  readonly job: Job;
  readonly sample: SampleJob;
  /** Of those that may share a run. */
  readonly kind: string;
}

/**
 * Goes on until `signal` aborts. Throws its reason; and StorageError and DeviceError, which are faults of this worker and
 * none of a job: that goes back unchanged. What a job is to blame for fails that job, alone, and the work goes on.
 */
export async function workOnSamples(
  worker: Worker,
  { atOnce, lockMs, signal, draw, onDrawn, say }: SampleWorkerOptions,
): Promise<never> {
  const token = randomUUID();
  let held: Taken[] = [];
  const told = <T>(work: Promise<T>) => orAborted(work, signal);
  const release = (some: readonly Taken[]) => {
    held = held.filter((one) => !some.includes(one));
  };
  const fail = ({ job }: Pick<Taken, 'job'>, error: Error) => told(settle(job.moveToFailed(error, token), say));

  const take = async (): Promise<void> => {
    while (held.length < atOnce) {
      const job = await told(worker.getNextJob(token, { block: held.length === 0 }));
      if (!job) break;
      try {
        held.push(takenOf(job));
      } catch (error) {
        await fail({ job }, error as Error);
      }
    }
  };
  const complete = async (one: Taken, result: string | null) => {
    await told(settle(one.job.moveToCompleted(result, token, false), say));
    release([one]);
  };

  const run = async (taken: readonly Taken[]): Promise<void> => {
    const folders = await Promise.all(taken.map(({ sample: { folder } }) => folder && SampleFolder.join(folder)));
    const isWritten = await Promise.all(taken.map(({ sample }, i) => folders[i]?.has(sample.identity)));
    for (const [i, one] of taken.entries()) if (isWritten[i]) await complete(one, null);
    const missing = taken.filter((_, i) => !isWritten[i]);
    if (missing.length === 0) return;
    const pngs = await draw(
      missing.map(({ sample }) => sample),
      (line, lines) => {
        const percent = Math.round((100 * line) / lines);
        for (const { job } of missing) job.updateProgress(percent).catch(() => undefined);
      },
    );
    for (const [i, one] of missing.entries()) {
      const folder = folders[taken.indexOf(one)];
      await folder?.write(one.sample.identity, pngs[i]!);
      await complete(one, folder ? null : Buffer.from(pngs[i]!).toString('base64'));
    }
    onDrawn(missing.length);
  };

  const renewal = setInterval(() => {
    if (held.length === 0) return;
    const ids = held.map(({ job }) => job.id!); // a job of a queue has one
    worker.extendJobLocks(ids, Array(ids.length).fill(token), lockMs).catch(() => undefined); // its end tells
  }, lockMs / 4);
  try {
    await told(worker.startStalledCheckTimer());
    for (;;) {
      signal.throwIfAborted();
      await take();
      const [first] = held;
      if (!first) continue;
      const taken = held.filter(({ kind }) => kind === first.kind);
      try {
        await run(taken);
      } catch (error) {
        signal.throwIfAborted();
        if (!isOfJob(error)) throw error;
        for (const one of taken.filter((one) => held.includes(one))) await fail(one, error);
        release(taken);
      }
    }
  } finally {
    clearInterval(renewal);
    // without a queue they go back when the locks end
    const back = Promise.all(held.map(({ job }) => job.moveToWait(token).catch(() => undefined)));
    await orAborted(back, AbortSignal.timeout(1000)).catch(() => undefined);
  }
}

/** One that has failed before is drawn alone, so that it does not fail others. Throws OptionError for what is no job. */
function takenOf(job: Job): Taken {
  const sample = checkOptions(SAMPLE_JOB, job.data);
  const { prompt, sampling, cache } = sample;
  const said = Object.entries(prompt).map(([name, value]) => (Array.isArray(value) ? name : [name, value]));
  const kind = job.attemptsMade > 0 ? job.id! : JSON.stringify([said, sampling, cache]);
  return { job, sample, kind };
}

function isOfJob(error: unknown): error is RasterlineError {
  const isOwn = error instanceof StorageError || error instanceof DeviceError || error instanceof QueueError;
  return error instanceof RasterlineError && !isOwn;
}

/** A job that is no longer this worker's is somebody else's to end. Throws QueueError where the queue does not take it. */
async function settle(end: Promise<unknown>, say: (line: string) => void): Promise<void> {
  await end.catch(({ message, code }: Error & { readonly code?: unknown }) => {
    if (typeof code !== 'number') throw new QueueError(`queue: expected to take the end of a job, got ${message}`);
    say(`queue: a job was given to another worker meanwhile: ${message}`); // the codes of BullMQ's scripts
  });
}
