/** `rasterline sample --queue`: the workers draw, and this process waits. */

import { digestOf, type SampleFolder } from '../sample/sample-folder.ts';
import { kindText, queueName, type SampleJob, type WorkerKind } from '../sample/sample-job.ts';
import { sampleByQueue } from '../sample/sample-queue.ts';
import { oneOf } from '../tensor/checks.ts';
import { OptionError, RasterlineError } from '../tensor/errors.ts';
import { checkValue } from '../tensor/options.ts';
import type { AtOnceFlags } from './at-once.ts';
import { expectQueue, openQueue, type QueueFlags } from './queue.ts';

interface ResultFlags extends Partial<QueueFlags> {
  readonly results?: 'folder' | 'queue';
}

/** Throws OptionError for options that would be without effect. */
export function expectQueueFlags(flags: ResultFlags & AtOnceFlags): void {
  const { queue, queueTimeout, results, atOnce, memory } = flags;
  if (results !== undefined) checkValue('results', oneOf('folder', 'queue'), results);
  if (queue !== undefined) expectQueue(flags);
  const without = queue === undefined ? { results, queueTimeout } : { atOnce, memory };
  const [name] = Object.entries(without).find(([, value]) => value !== undefined) ?? [];
  if (name === undefined) return;
  const remedy = queue === undefined ? 'it goes with --queue' : 'it is an option of "rasterline work"';
  throw new OptionError(`${name}: expected none here, got one; ${remedy}`);
}

export interface WorkersRun extends Pick<SampleJob, 'sampling' | 'cache'>, ResultFlags {
  readonly kind: WorkerKind;
  readonly signal: AbortSignal;
  promptsOf(identities: readonly number[]): object;
  onImage(drawn: number): void;
}

/** Throws RasterlineError when all is over and some could not be drawn. */
export async function drawByWorkers(
  folder: SampleFolder,
  missing: readonly number[],
  { kind, sampling, cache, signal, promptsOf, onImage, ...flags }: WorkersRun,
): Promise<void> {
  if (missing.length === 0) return;
  const { connection, Queue, say } = await openQueue(flags);
  const reference = flags.results === 'queue' ? undefined : folder.reference;
  const jobs = missing.map((identity) => {
    const prompt = promptsOf([identity]);
    return { prompt, sampling, cache, identity, ...(reference && { folder: reference }) };
  });
  const queue = new Queue(queueName(kind), { connection: connection.client });
  queue.on('error', () => undefined); // the connection says so
  const failures: string[] = [];
  let drawn = 0;
  try {
    const outcomes = sampleByQueue(queue, jobs, {
      set: digestOf(JSON.stringify([folder.reference.digest, reference ?? null])).slice(0, 16),
      signal: AbortSignal.any([signal, connection.gone]),
      isWritten: (identity) => folder.has(identity),
      onWorkers: (workers) => {
        const drawing = workers === 1 ? 'a worker draws' : `${workers} workers draw`;
        say(workers > 0 ? `${drawing} now` : `no worker of ${kindText(kind)}: waiting for one, "rasterline work"`);
      },
    });
    for await (const outcome of outcomes) {
      if (outcome.state === 'returned') await folder.write(outcome.identity, outcome.png);
      if (outcome.state === 'failed') failures.push(`image ${outcome.identity}: ${outcome.reason}`);
      onImage(++drawn);
    }
  } finally {
    await Promise.race([queue.close(), new Promise((over) => setTimeout(over, 1000).unref())]);
    connection.close();
  }
  if (failures.length === 0) return;
  const rest = failures.length > 1 ? `; and ${failures.length - 1} more` : '';
  throw new RasterlineError(
    `sample: expected every image, got ${failures[0]}${rest}; the same command tries them anew`,
  );
}
