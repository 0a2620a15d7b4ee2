/** `--queue`, for those who fill it and those who empty it. */

import type { Command } from 'commander';
import { QueueConnection } from '../sample/queue-connection.ts';
import { numberFrom } from '../tensor/checks.ts';
import { OptionError } from '../tensor/errors.ts';
import { checkValue } from '../tensor/options.ts';
import { optionalPackages } from './optional-packages.ts';
import { number } from './options.ts';

export interface QueueFlags {
  readonly queue: string;
  readonly queueTimeout: number;
}

export function addQueueOptions(command: Command): Command {
  return command
    .option('--queue <url>', 'Redis or Valkey with what is to be drawn, such as redis://127.0.0.1:6379')
    .option('--queue-timeout <seconds>', 'how long a queue that is gone is waited for (default: 60)', number);
}

const QUEUE_SECONDS = numberFrom(0.001, 1e6);

/** Throws OptionError for what is no address of a queue. */
export function expectQueue({ queue, queueTimeout }: Partial<QueueFlags>): string {
  checkValue('queueTimeout', QUEUE_SECONDS, queueTimeout ?? 60);
  if (queue !== undefined && /^rediss?:\/\/[^/]/.test(queue) && URL.canParse(queue)) return queue;
  throw new OptionError(`queue: expected an address such as redis://127.0.0.1:6379, got ${queue ?? 'none'}`);
}

/** Throws OptionError where the packages are not installed. A queue that is not there is waited for. */
export async function openQueue(flags: Partial<QueueFlags>) {
  const url = expectQueue(flags);
  const [{ Queue, Worker }, { Redis }] = await optionalPackages('queue', ['bullmq', 'ioredis'], () =>
    Promise.all([import('bullmq'), import('ioredis')]),
  );
  const say = (line: string) => void process.stderr.write(`${line}\n`);
  const connection = new QueueConnection(Redis, { url, waitMs: 1000 * (flags.queueTimeout ?? 60), say });
  return { connection, Queue, Worker, say };
}
