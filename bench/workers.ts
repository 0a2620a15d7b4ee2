/** Whether a second worker of a queue on the same machine brings anything: on a driver that uses all cores it must not cost. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { queueName, type SampleJob } from '../src/sample/sample-job.ts';
import { sampleByQueue } from '../src/sample/sample-queue.ts';
import type { Runtime } from '../src/tensor/runtime.ts';
import { VERSION } from '../src/version.ts';
import { buildCli, CLI } from '../test/support/cli.ts';
import { startRedis } from '../test/support/redis-server.ts';
import { median, round } from './support.ts';

const MODEL = 'emoji';
/** Of a run. */
const AT_ONCE = 4;
/** Timed, of each number of workers. */
const RUNS = Number(process.env.RASTERLINE_WORKER_RUNS ?? 8);
const ROUNDS = 3;

/** One worker and two in turn, each anew; what they have drawn before the time starts compiles. */
export async function workerRows({ kind: driver }: Runtime): Promise<object[]> {
  await buildCli();
  const redis = await startRedis();
  const connection = new Redis(redis.url, { maxRetriesPerRequest: null });
  const queue = new Queue(queueName({ version: VERSION, model: MODEL, loaded: {}, driver }), { connection });
  const seconds: Record<number, number[]> = { 1: [], 2: [] };
  try {
    for (let turn = 0; turn < ROUNDS; turn++) {
      for (const count of turn % 2 ? [2, 1] : [1, 2]) {
        const workers = await Promise.all(Array.from({ length: count }, () => startWorker(redis.url, driver)));
        await sample(queue, `warm ${turn} ${count}`, 2 * count);
        const start = performance.now();
        await sample(queue, `${turn} ${count}`, RUNS);
        seconds[count]!.push((performance.now() - start) / 1000);
        for (const worker of workers) await end(worker);
      }
    }
  } finally {
    await queue.close();
    connection.disconnect();
    await redis.close();
  }
  const [one, two] = [median(seconds[1]!), median(seconds[2]!)];
  const rate = (time: number) => round((RUNS * AT_ONCE) / time);
  return [
    { row: `${RUNS * AT_ONCE} images, ${AT_ONCE} at once`, '1 worker': rate(one), '2 workers': rate(two) },
    { row: 'seconds', '1 worker': seconds[1]!.map(round).join(), '2 workers': seconds[2]!.map(round).join() },
    { row: '% of one', '1 worker': 100, '2 workers': round((100 * one) / two) },
  ];
}

async function sample(queue: Queue, set: string, runs: number): Promise<void> {
  const jobs: SampleJob[] = Array.from({ length: runs * AT_ONCE }, (_, identity) => ({
    ...{ prompt: { classes: [identity] }, sampling: { guidanceScale: 1 }, cache: { budgetLines: 4 }, identity },
  }));
  const signal = new AbortController().signal;
  const asked = { set: set.replaceAll(' ', '-'), signal, isWritten: async () => false, onWorkers: () => undefined };
  for await (const { state } of sampleByQueue(queue, jobs, asked))
    if (state !== 'returned') throw new Error(`workers: expected a picture, got one that is ${state}`);
}

async function startWorker(url: string, driver: string): Promise<ChildProcess> {
  const flags = ['--queue', url, '--driver', driver, '--model', MODEL, '--at-once', `${AT_ONCE}`];
  const worker = spawn(process.execPath, [CLI, 'work', ...flags], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(worker.stdout, 'data'); // it waits for work
  worker.stdout.resume();
  return worker;
}

async function end(worker: ChildProcess): Promise<void> {
  worker.kill('SIGTERM');
  await once(worker, 'exit');
}
