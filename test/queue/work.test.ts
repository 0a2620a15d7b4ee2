import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { expectQueueFlags } from '../../src/cli/draw-by-workers.ts';
import { expectQueue } from '../../src/cli/queue.ts';
import { readRecipe } from '../../src/png.ts';
import { queueName } from '../../src/sample/sample-job.ts';
import { OptionError } from '../../src/tensor/errors.ts';
import { VERSION } from '../../src/version.ts';
import { buildCli, CLI } from '../support/cli.ts';
import { type RedisServer, startRedis } from '../support/redis-server.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { until } from '../support/until.ts';

const IMAGES = 5;
const SAMPLE = ['sample', '--driver', 'null', '--images', `${IMAGES}`, '--classes', '3,7'];
const WORK = ['work', '--driver', 'null', '--at-once', '1'];

interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  out: string;
  err: string;
}

describe('workers of a queue', function () {
  this.timeout(300_000);
  let redis: RedisServer;
  let client: Redis;
  let queue: Queue;
  const folder = temporaryFolder();
  /** What one process draws. */
  let expected: Map<string, unknown>;
  const running: Running[] = [];
  const start = (...arguments_: readonly string[]): Running => {
    const child = spawn(process.execPath, [CLI, ...arguments_]);
    const ended = new Promise<number | null>((over) => child.on('close', (code) => over(code)));
    const one: Running = { child, ended, out: '', err: '' };
    child.stdout.on('data', (data) => {
      one.out += data;
    });
    child.stderr.on('data', (data) => {
      one.err += data;
    });
    running.push(one);
    return one;
  };
  const passes = async (one: Running) => assert.equal(await one.ended, 0, one.err);
  /** Names, settings, and what every picture was drawn from: what the null driver draws is anything. */
  const filesOf = async (path: string) => {
    const names = (await readdir(path)).sort();
    const told = async (name: string) => {
      const bytes = await readFile(join(path, name));
      return [name, name.endsWith('.png') ? readRecipe(bytes) : bytes.toString()] as const;
    };
    return new Map(await Promise.all(names.map(told)));
  };
  const isReady = async (worker: Running) => {
    await until(() => worker.out.includes('waiting for work') || worker.child.exitCode !== null);
    assert.equal(worker.child.exitCode, null, worker.err);
  };

  before(async () => {
    redis = await startRedis();
    client = new Redis(redis.url, { maxRetriesPerRequest: null });
    client.on('error', () => undefined); // it is cut off on purpose
    const kind = { version: VERSION, model: 'emoji', loaded: {}, driver: 'null' };
    queue = new Queue(queueName(kind), { connection: client });
    queue.on('error', () => undefined);
    await buildCli();
    await passes(start(...SAMPLE, '--out', join(folder(), 'alone')));
    expected = await filesOf(join(folder(), 'alone'));
    assert.equal(expected.size, IMAGES + 1);
  });
  afterEach(async () => {
    for (const { child } of running) child.kill('SIGKILL');
    await Promise.all(running.splice(0).map(({ ended }) => ended));
    await queue.obliterate({ force: true });
  });
  after(async () => {
    await queue.close();
    client.disconnect();
    await redis.close();
  });

  it('draw into a shared folder what one process draws, though one is killed with an image in its hands', async () => {
    const out = join(folder(), 'shared');
    const sample = start(...SAMPLE, '--queue', redis.url, '--out', out);
    const victim = start(...WORK, '--queue', redis.url, '--silence', '1');
    for (let isCaught = false; !isCaught; ) {
      await until(async () => (await queue.getActiveCount()) > 0);
      victim.child.kill('SIGSTOP');
      isCaught = (await queue.getActiveCount()) > 0;
      if (!isCaught) victim.child.kill('SIGCONT');
    }
    victim.child.kill('SIGKILL');
    await victim.ended;

    start(...WORK, '--queue', redis.url, '--silence', '1');

    await passes(sample);
    assert.match(sample.err, new RegExp(`${IMAGES} drawn, 0 were there`));
    assert.deepEqual(await filesOf(out), expected);
  });

  it('of another model leave the jobs, which wait for one that fits', async () => {
    const out = join(folder(), 'returned');
    const sampling = [...SAMPLE, '--queue', redis.url, '--out', out, '--results', 'queue'];
    const misfit = start('work', '--driver', 'null', '--queue', redis.url, '--model', 'emoji-text');
    await isReady(misfit);
    const first = start(...sampling);
    await until(() => first.err.includes('no worker of emoji of version'));
    assert.equal(await queue.getWaitingCount(), IMAGES);
    first.child.kill('SIGKILL'); // what it asked for stays, and so do the results
    await first.ended;

    const fitting = start('work', '--driver', 'null', '--queue', redis.url);

    await until(async () => (await queue.getCompletedCount()) === IMAGES);
    fitting.child.kill('SIGTERM');
    assert.equal(await fitting.ended, 143, fitting.err);
    assert.deepEqual([...(await filesOf(out)).keys()], ['sample.json']);
    await passes(start(...sampling));
    assert.deepEqual(await filesOf(out), expected);
    assert.equal(await queue.getCompletedCount(), 0);
    assert.ok(!misfit.out.includes('drawn'), misfit.out);
  });

  it('wait for a queue that is gone, say so, and end with 1 when it does not come back', async () => {
    const out = join(folder(), 'gone');
    const patient = start(...WORK, '--queue', redis.url, '--queue-timeout', '3600');
    await isReady(patient);

    redis.cut();

    await until(() => patient.err.includes('is gone'));
    const hasty = [
      start(...WORK, '--queue', redis.url, '--queue-timeout', '0.2'),
      start(...SAMPLE, '--queue', redis.url, '--out', out, '--queue-timeout', '0.2'),
    ];
    for (const one of hasty) {
      assert.equal(await one.ended, 1, one.err);
      assert.match(one.err, /QueueError: queue: expected Redis or Valkey at 127\.0\.0\.1:\d+, got none for 0\.2 s: /);
    }
    redis.mend();
    await until(() => patient.err.includes('is there again'));
    await passes(start(...SAMPLE, '--queue', redis.url, '--out', out));
    assert.deepEqual(await filesOf(out), expected);
  });

  it('refuse wrong options with 2, before a device is opened, and options without effect', async () => {
    const refused = start('work', '--queue', 'http://x');
    assert.equal(await refused.ended, 2);
    assert.match(refused.err, /^OptionError: queue: expected an address such as redis:\S+, got http:\/\/x\n$/);
    const wrong: readonly (readonly [() => unknown, RegExp])[] = [
      [() => expectQueue({}), /^queue: expected an address .* got none$/],
      [() => expectQueue({ queue: 'redis://' }), /^queue: expected an address/],
      [() => expectQueueFlags({ queue: 'redis://x', queueTimeout: -1 }), /^queueTimeout: expected a number from/],
      [() => expectQueueFlags({ results: 'queue' }), /^results: expected none here, got one; it goes with --queue$/],
      [() => expectQueueFlags({ queueTimeout: 1 }), /^queueTimeout: expected none here/],
      [
        () => expectQueueFlags({ queue: 'redis://x', results: 'x' as never }),
        /^results: expected one of folder, queue/,
      ],
      [() => expectQueueFlags({ queue: 'redis://x', atOnce: 2 }), /^atOnce: expected none here, .*rasterline work/],
    ];
    for (const [call, message] of wrong)
      assert.throws(call, (error) => error instanceof OptionError && message.test(error.message));
  });
});
