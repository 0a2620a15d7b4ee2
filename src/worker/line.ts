/** The line between a page and its worker. */

import type { Remote } from 'comlink';
import { type Endpoint, releaseProxy, wrap } from 'comlink/dist/esm/comlink.mjs';
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs';
import { having } from '../tensor/checks.ts';
import { DeviceError, DisposedError, OptionError } from '../tensor/errors.ts';
import { type Answer, receivedError, type Thread } from './protocol.ts';

/** A module worker of a page, or a thread of `node:worker_threads`, whose file calls `serveWorker`. */
export interface WorkerLike {
  postMessage(message: unknown, transfer?: never): void;
  terminate(): unknown;
}

export const WORKER = having<WorkerLike>('a Worker', 'postMessage', 'terminate');

/** The line to the thread, which may be cut. */
export class Line {
  readonly thread: Remote<Thread>;
  readonly #cut: Promise<never>;
  #calls = 0;
  #isClosed = false;

  constructor(private readonly worker: WorkerLike) {
    const { endpoint, ended } = endpointOf(worker);
    this.thread = wrap<Thread>(endpoint);
    this.#cut = ended.then((why) => {
      throw new DeviceError(`worker: expected it to answer, got ${why}; make a new one`);
    });
    this.#cut.catch(() => undefined); // told to whoever asks
  }

  async ask<T>(question: (thread: Remote<Thread>) => Promise<Answer<T>>): Promise<T> {
    if (this.#isClosed) throw new DisposedError('worker: expected one that is open, but it was closed');
    const answer = await Promise.race([sent(() => question(this.thread)), this.#cut]);
    if ('error' in answer) throw receivedError(answer.error);
    return answer.value;
  }

  /** Throws the signal's reason when it aborts. */
  async call<T>(
    signal: AbortSignal | undefined,
    question: (thread: Remote<Thread>, id: number) => Promise<Answer<T>>,
  ): Promise<T> {
    signal?.throwIfAborted();
    const id = this.#calls++;
    const abort = () => void this.thread.abort(id);
    signal?.addEventListener('abort', abort);
    try {
      return await this.ask((thread) => question(thread, id));
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    // a worker that draws aborts the process when it is ended, so it must have come to rest
    await Promise.race([this.thread.close(), this.#cut.catch(() => undefined)]);
    this.thread[releaseProxy]();
    await this.worker.terminate();
  }
}

function endpointOf(worker: WorkerLike): { readonly endpoint: Endpoint; readonly ended: Promise<string> } {
  const isPage = 'addEventListener' in worker;
  const endpoint = (isPage ? worker : nodeEndpoint(worker as never)) as Endpoint;
  const ended = new Promise<string>((resolve) => {
    const on = (event: string, told: (what: { readonly message?: string }) => void) =>
      isPage
        ? (worker as unknown as EventTarget).addEventListener(event, told as never)
        : (worker as never as NodeWorker).on(event, told);
    on('error', (error) => resolve(error?.message ?? 'an error while its file was loaded'));
    on('exit', () => resolve('its end'));
  });
  return { endpoint, ended };
}

interface NodeWorker {
  on(event: string, told: (what: never) => void): void;
}

/** What cannot be cloned is an option of the caller's. */
async function sent<T>(question: () => Promise<T>): Promise<T> {
  try {
    return await question();
  } catch (error) {
    if ((error as Error).name !== 'DataCloneError') throw error;
    throw new OptionError(
      `worker: expected options of plain data, got one that cannot cross: ${(error as Error).message}`,
    );
  }
}
