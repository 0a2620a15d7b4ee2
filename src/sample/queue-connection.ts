/** A connection to Redis or Valkey that waits for a queue that is gone, says so, and gives up after a limit. */

import type { Redis } from 'ioredis';
import { RasterlineError } from '../tensor/errors.ts';

/** Between two attempts to connect. */
const RETRY_MS = 250;

/** The queue is gone, or refuses what it is told. */
export class QueueError extends RasterlineError {
  override readonly name = 'QueueError';
}

export interface QueueConnectionOptions {
  /** Such as `redis://user:password@host:6379/0`. */
  readonly url: string;
  /** How long a queue that is gone is waited for. */
  readonly waitMs: number;
  say(line: string): void;
}

export class QueueConnection {
  readonly client: Redis;
  readonly #gone = new AbortController();
  #limit: NodeJS.Timeout | undefined;
  #reason = 'no answer';

  /** Connects; commands wait until there is something to talk to. */
  constructor(
    Client: typeof Redis,
    private readonly options: QueueConnectionOptions,
  ) {
    // null: a command waits as long as it takes; how long that may be is the limit's to say
    this.client = new Client(options.url, { maxRetriesPerRequest: null, retryStrategy: () => RETRY_MS });
    this.client.on('error', ({ message, code }: NodeJS.ErrnoException) => {
      this.#reason = message || code || this.#reason;
    });
    this.client.on('close', () => this.#lost());
    this.client.on('ready', () => this.#found());
    this.#startLimit(); // for one that never answers
  }

  /** Aborts with a QueueError once the queue was gone for as long as is waited. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  get isReady(): boolean {
    return this.client.status === 'ready';
  }

  close(): void {
    clearTimeout(this.#limit);
    this.client.removeAllListeners('close');
    this.client.disconnect();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #isSaid = false;

  #lost(): void {
    this.#startLimit();
    if (this.#isSaid) return;
    this.#isSaid = true;
    this.options.say(`queue: ${this.#place} is gone, ${this.#reason}; waiting for at most ${this.#seconds} s`);
  }

  #found(): void {
    clearTimeout(this.#limit);
    this.#limit = undefined;
    if (this.#isSaid) this.options.say(`queue: ${this.#place} is there again`);
    this.#isSaid = false;
  }

  #startLimit(): void {
    this.#limit ??= setTimeout(() => {
      const got = `none for ${this.#seconds} s: ${this.#reason}`;
      this.#gone.abort(new QueueError(`queue: expected Redis or Valkey at ${this.#place}, got ${got}`));
    }, this.options.waitMs);
  }

  get #seconds(): number {
    return this.options.waitMs / 1000;
  }

  /** Without what is secret. */
  get #place(): string {
    return new URL(this.options.url).host;
  }
}
