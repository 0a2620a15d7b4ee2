import { Command } from 'commander';
import { EMBEDDED_MODEL, modelDefinition } from '../models/registry.ts';
import { joined } from '../prompt-list.ts';
import { drawRun } from '../sample/draw-run.ts';
import { kindText, queueName, type SampleJob } from '../sample/sample-job.ts';
import { workOnSamples } from '../sample/sample-worker.ts';
import { numberFrom } from '../tensor/checks.ts';
import { checkValue } from '../tensor/options.ts';
import { VERSION } from '../version.ts';
import { type AtOnceFlags, addAtOnceOptions, imagesAtOnce } from './at-once.ts';
import { interruptible } from './exit.ts';
import { addModelOptions, loadedAs, type ModelFlags } from './model-options.ts';
import { OpenedModel } from './opened-model.ts';
import { number } from './options.ts';
import { addQueueOptions, expectQueue, openQueue, type QueueFlags } from './queue.ts';

interface WorkFlags extends ModelFlags, AtOnceFlags, Partial<QueueFlags> {
  readonly model: string;
  readonly silence: number;
}

/** Images of a run where no one says it, and memory holds them. */
const AT_ONCE = 16;
/** Times that an image may outlive its worker. */
const MOST_DEATHS = 10;

export function workCommand(): Command {
  const command = new Command('work')
    .description('draw what "rasterline sample --queue" asks for, with any number of others')
    .option('--model <name>', 'preset', EMBEDDED_MODEL)
    .option('--silence <seconds>', 'after which its images are given to other workers', number, 30)
    .addHelpText(
      'after',
      `
It draws what asks for its model, version, weights and driver; the rest waits for others. A folder in which results are to
be is looked for from where it is started. It ends when told to: Ctrl-C gives back what is not drawn.

Examples:
  $ rasterline work --queue redis://127.0.0.1:6379
  $ rasterline work --queue rediss://user:password@queue.example:6380 --model emoji --at-once 32`,
    );
  for (const add of [addModelOptions, addAtOnceOptions, addQueueOptions]) add(command);
  return command.action(run);
}

async function run(flags: WorkFlags): Promise<void> {
  const { driver, model: name, silence } = flags;
  const loaded = loadedAs(flags);
  modelDefinition(name, loaded);
  expectQueue(flags);
  checkValue('silence', numberFrom(0.1, 1e5), silence);
  const { signal: interrupted, release } = interruptible();
  const { connection, Worker, say } = await openQueue(flags);
  const signal = AbortSignal.any([interrupted, connection.gone]);
  try {
    using opened = await OpenedModel.open({ driver, name, loaded, signal });
    const { runtime } = opened.model;
    const kind = { version: VERSION, model: name, loaded, driver: runtime.kind };
    const atOnce = await imagesAtOnce(runtime, flags.atOnce ?? AT_ONCE, { flags, name, cache: {}, loaded });
    const lockMs = 1000 * silence;
    const locks = { lockDuration: lockMs, stalledInterval: lockMs, maxStalledCount: MOST_DEATHS };
    const worker = new Worker(queueName(kind), undefined, { connection: connection.client, ...locks });
    worker.on('error', () => undefined); // the connection says so
    const draw = (jobs: readonly SampleJob[], onLine: (line: number, lines: number) => void) => {
      const { sampling, cache } = jobs[0]!; // the same of all
      const prompt = joined(jobs.map((job) => job.prompt)) as never; // the model checks it
      const identities = jobs.map(({ identity }) => identity);
      const told = ({ line, lines }: { readonly line: number; readonly lines: number }) => onLine(line, lines);
      return drawRun(opened, { prompt, identities, sampling, cache, signal, onLine: told });
    };
    const onDrawn = (images: number) => {
      opened.compiling.stop();
      console.log(`${images} drawn`);
    };
    console.log(`${kindText(kind)}: waiting for work, ${atOnce} images at once`);
    try {
      await workOnSamples(worker, { atOnce, lockMs, signal, draw, onDrawn, say });
    } finally {
      await Promise.race([worker.close(true), new Promise((over) => setTimeout(over, 1000).unref())]);
    }
  } finally {
    connection.close();
    release();
  }
}
