import assert from 'node:assert/strict';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { type Job, Queue, Worker } from 'bullmq';
import { decode } from 'fast-png';
import { Redis } from 'ioredis';
import { generate } from '../../src/generate.ts';
import { joined } from '../../src/prompt-list.ts';
import { drawRun } from '../../src/sample/draw-run.ts';
import { QueueConnection, QueueError } from '../../src/sample/queue-connection.ts';
import { SampleFolder } from '../../src/sample/sample-folder.ts';
import { queueName, type SampleJob } from '../../src/sample/sample-job.ts';
import { type Outcome, type SampleQueueOptions, sampleByQueue } from '../../src/sample/sample-queue.ts';
import { type SampleWorkerOptions, workOnSamples } from '../../src/sample/sample-worker.ts';
import { NotFiniteError, StorageError } from '../../src/tensor/errors.ts';
import { type RedisServer, startRedis } from '../support/redis-server.ts';
import { testRuntime } from '../support/runtime.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { tinyModel } from '../support/tiny-model.ts';
import { until } from '../support/until.ts';

const LOCK_MS = 60_000; // no test here waits for one to end

/** A picture that says which image it is. */
const picture = ({ identity }: SampleJob) => Uint8Array.of(identity);
const drawAll = async (jobs: readonly SampleJob[]) => jobs.map(picture);

function jobs(count: number, more: Partial<SampleJob> = {}): SampleJob[] {
  return Array.from({ length: count }, (_, identity) => ({
    ...{ prompt: { classes: [identity % 10] }, sampling: { seed: 4, guidanceScale: 1 }, cache: {}, identity, ...more },
  }));
}

describe('samples in a queue', () => {
  let redis: RedisServer;
  let client: Redis;
  let queue: Queue;
  const folder = temporaryFolder();
  before(async () => {
    redis = await startRedis();
    client = new Redis(redis.url, { maxRetriesPerRequest: null });
    client.on('error', () => undefined); // it is cut off on purpose
  });
  let names = 0;
  beforeEach(() => {
    queue = new Queue(`q${names++}`, { connection: client });
    queue.on('error', () => undefined);
  });
  afterEach(() => queue.close());
  after(async () => {
    client.disconnect();
    await redis.close();
  });

  /** A worker until it ends or is stopped; what it ended with. */
  const work = (options: Partial<SampleWorkerOptions> = {}) => {
    const worker = new Worker(queue.name, undefined, { connection: client, lockDuration: LOCK_MS });
    const controller = new AbortController();
    const said: string[] = [];
    const ended = workOnSamples(worker, {
      ...{ atOnce: 4, lockMs: LOCK_MS, draw: drawAll, onDrawn: () => undefined, say: (line) => said.push(line) },
      ...{ signal: controller.signal, ...options },
    })
      .catch((error: unknown) => error)
      .finally(() => worker.close(true));
    const stop = () => {
      controller.abort(new Error('stopped'));
      return ended;
    };
    return { ended, stop, said };
  };
  const sample = async (some: readonly SampleJob[], options: Partial<SampleQueueOptions> = {}) => {
    const outcomes: Outcome[] = [];
    const given = { set: 's', signal: new AbortController().signal, isWritten: async () => false, ...options };
    for await (const outcome of sampleByQueue(queue, some, { onWorkers: () => undefined, ...given }))
      outcomes.push(outcome);
    return outcomes.sort((a, b) => a.identity - b.identity);
  };
  const counts = async () => {
    const { waiting, active, delayed, completed, failed } = await queue.getJobCounts();
    return { waiting, active, delayed, completed, failed };
  };
  /** Waits for it: what a worker said last may be on its way. */
  const holds = (expected: Awaited<ReturnType<typeof counts>>) =>
    until(async () => isDeepStrictEqual(await counts(), expected));
  const NONE = { waiting: 0, active: 0, delayed: 0, completed: 0, failed: 0 };

  it('are what generate draws, by two workers, and leave nothing in the queue', async () => {
    const model = await tinyModel(await testRuntime());
    const opened = { model, reload: async () => assert.fail('lost') };
    const signal = new AbortController().signal;
    const draw = (some: readonly SampleJob[]) => {
      const [{ sampling, cache }] = some as [SampleJob];
      const prompt = joined(some.map(({ prompt }) => prompt)) as { classes: number[] };
      return drawRun(opened, { prompt, sampling, cache, signal, identities: some.map(({ identity }) => identity) });
    };
    const workers = [work({ atOnce: 2, draw }), work({ atOnce: 2, draw })];

    const outcomes = await sample(jobs(4));

    for (const { stop } of workers) await stop();
    const alone = await generate(model, { prompt: { classes: [0, 1, 2, 3] }, seed: 4, guidanceScale: 1 });
    for (const [i, outcome] of outcomes.entries()) {
      assert.ok(outcome.state === 'returned');
      assert.deepEqual([...decode(outcome.png).data], [...alone[i]!.pixels]);
    }
    assert.equal(outcomes.length, 4);
    await holds(NONE);
    model.dispose();
  });

  it('are drawn once, though two ask for the same', async () => {
    const drawn: number[] = [];
    const { stop } = work({
      draw: async (some) => {
        drawn.push(...some.map(({ identity }) => identity));
        return await drawAll(some);
      },
    });
    const first = await SampleFolder.open(join(folder(), 'twice'), {});
    const some = jobs(6, { folder: first.reference });
    const isWritten = (identity: number) => first.has(identity);

    await Promise.all([sample(some, { isWritten }), sample(some.slice(2), { isWritten })]);

    await holds(NONE);
    await stop();
    assert.deepEqual([...drawn].sort(), [0, 1, 2, 3, 4, 5]);
    assert.deepEqual(await first.missing(6), []);
  });

  it('that cannot be drawn fail after three attempts, alone, and are tried anew when asked for again', async () => {
    const runs: string[] = [];
    let isHealed = false;
    const { stop } = work({
      draw: async (some) => {
        runs.push(some.map(({ identity }) => identity).join());
        if (!isHealed && some.some(({ identity }) => identity === 1)) throw new NotFiniteError(0, 5);
        return await drawAll(some);
      },
    });

    const outcomes = await sample(jobs(3));

    assert.deepEqual(
      outcomes.map(({ state }) => state),
      ['returned', 'failed', 'returned'],
    );
    assert.match(
      outcomes.map((one) => (one.state === 'failed' ? one.reason : '')).join(''),
      /^logits: expected finite/,
    );
    assert.equal(runs.filter((run) => run === '1').length >= 2, true);
    assert.ok(
      runs.every((run, i) => i === 0 || !run.includes(',') || !run.includes('1')),
      runs.join(' '),
    );
    isHealed = true;
    assert.deepEqual(await sample(jobs(3).slice(1, 2)), [{ identity: 1, state: 'returned', png: Buffer.of(1) }]);
    await stop();
  });

  it('go back unharmed when a worker has no room for them, and the worker ends', async () => {
    const some = await SampleFolder.open(join(folder(), 'full'), {});
    const asked = sample(jobs(2, { folder: some.reference }), { isWritten: (identity) => some.has(identity) });
    const full = new StorageError('out: expected a file that can be written, got ENOSPC');

    assert.equal(await work({ draw: () => Promise.reject(full) }).ended, full);

    await holds({ ...NONE, waiting: 2 });
    assert.deepEqual(await some.missing(2), [0, 1]);
    for (const { attemptsMade } of (await queue.getWaiting()) as Job[]) assert.equal(attemptsMade, 0);
    const { stop } = work();
    await asked;
    await stop();
  });

  it('for a folder that a worker does not see, or of other settings, wait for another worker', async () => {
    const seen = await SampleFolder.open(join(folder(), 'seen'), {});
    for (const reference of [
      { ...seen.reference, path: join(folder(), 'unseen') },
      { ...seen.reference, digest: '0' },
    ]) {
      const controller = new AbortController();
      const asked = sample(jobs(1, { folder: reference }), { signal: controller.signal, set: reference.path });
      const error = await work().ended;
      assert.ok(
        error instanceof StorageError && /^folder: expected .*--results queue$/.test(error.message),
        `${error}`,
      );
      controller.abort(new Error('enough'));
      await assert.rejects(asked, /enough/);
      await holds({ ...NONE, waiting: 1 });
      await queue.obliterate();
    }
  });

  it('go back when a worker is told to end in the middle of a run', async () => {
    let begun = () => {};
    const drawing = new Promise<void>((is) => {
      begun = is;
    });
    const asked = sample(jobs(3));
    const controller = new AbortController();
    const { ended } = work({
      signal: controller.signal,
      draw: (_, onLine) =>
        new Promise((_, stopped) => {
          onLine(1, 4);
          controller.signal.addEventListener('abort', () => stopped(controller.signal.reason));
          begun();
        }),
    });
    await drawing;
    await until(async () => (await queue.getActive())[0]?.progress === 25);
    controller.abort(new Error('stopped'));
    assert.match(String(await ended), /stopped/);
    await holds({ ...NONE, waiting: 3 });
    const { stop } = work();
    assert.equal((await asked).length, 3);
    await stop();
  });

  it('that the queue has lost are put in again, and what is no job fails by itself', async () => {
    const asked = sample(jobs(2));
    await holds({ ...NONE, waiting: 2 });
    await queue.obliterate();
    await holds({ ...NONE, waiting: 2 });
    await queue.add('image', { identity: -1 }, { jobId: 'damaged' });
    const { stop } = work();
    assert.equal((await asked).length, 2);
    await until(async () => (await counts()).failed === 1);
    assert.match((await queue.getJob('damaged'))!.failedReason, /^prompt: expected|^identity: expected/);
    await stop();
  });

  it('end with a QueueError when a queue that was there is gone for too long', async () => {
    const said: string[] = [];
    const options = { url: redis.url, waitMs: 3_600_000, say: (line: string) => void said.push(line) };
    using connection = new QueueConnection(Redis, options);
    await connection.client.ping();
    options.waitMs = 20;
    const gone = new Promise((is) => connection.gone.addEventListener('abort', () => is(connection.gone.reason)));
    redis.cut();
    const error = await gone;
    redis.mend();
    assert.ok(error instanceof QueueError, `${error}`);
    assert.match(said.join(), /^queue: 127\.0\.0\.1:\d+ is gone, .*; waiting for at most 0\.02 s$/);
    await until(() => client.status === 'ready');
  });

  it('are of a queue by model, version, weights and driver', () => {
    const kind = { version: '1.0.0', model: 'emoji', loaded: { dtype: 'f16', vq: 'a' }, driver: 'gpu' };
    const others = [
      { ...kind, version: '1.0.1' },
      { ...kind, model: 'emoji-text' },
      { ...kind, loaded: { ...kind.loaded, dtype: 'int8' } },
      { ...kind, driver: 'lavapipe' },
    ];
    assert.equal(new Set([kind, ...others].map(queueName)).size, 5);
    assert.equal(queueName(kind), queueName({ ...kind, loaded: { vq: 'a', dtype: 'f16' } }));
  });
});
