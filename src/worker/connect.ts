/** The page's side: a runtime and its models as they are used in the page, at work in a worker. */

import type { Remote } from 'comlink';
import { type Endpoint, proxy, releaseProxy, transfer, wrap } from 'comlink/dist/esm/comlink.mjs';
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs';
import { type DrawEvent, eventsOf } from '../draw.ts';
import type { GenerateOptions } from '../generate-options.ts';
import { GeneratedImage, type ImageParts } from '../generated-image.ts';
import type { SamplingDefaults } from '../models/image-model.ts';
import type { LoadModelOptions } from '../models/load-model.ts';
import type { FamilyModel, ModelName, PromptOf } from '../models/registry.ts';
import { having } from '../tensor/checks.ts';
import { DeviceError, DisposedError, OptionError } from '../tensor/errors.ts';
import { checkValue } from '../tensor/options.ts';
import type { RuntimeOptions } from '../tensor/runtime-options.ts';
import type { Answer, LineData, Listener, OpenedRuntime, RuntimeStatus, Thread } from './protocol.ts';
import { receivedError } from './protocol.ts';
import { sentOptions } from './sent-options.ts';

/** A module worker of a page, or a thread of `node:worker_threads`, whose file calls `serveWorker`. */
export interface WorkerLike {
  postMessage(message: unknown, transfer?: never): void;
  terminate(): unknown;
}

/** What a run in a worker takes more. */
export interface WorkerGenerateOptions<Prompt> extends GenerateOptions<Prompt> {
  /** The worker paints the first image on it, line by line. */
  readonly canvas?: WorkerCanvas;
}

/** A canvas that was given to the worker. */
export interface WorkerCanvas {
  readonly canvas: number;
}

export const WORKER = having<WorkerLike>('a Worker', 'postMessage', 'terminate');

/**
 * Opens a runtime in a worker. What is loaded and drawn there leaves the page's thread alone.
 *
 * Throws DeviceError where there is no adapter, or when the worker ends before it answers.
 *
 * @example
 * const worker = new Worker(new URL('./draws.js', import.meta.url), { type: 'module' });
 * const runtime = await connectWorker(worker);
 * const model = await runtime.loadModel('emoji');
 * for await (const event of model.draw({ prompt: { classes: [187] } })) {
 *   const [image] = event.kind === 'line' ? await event.preview() : event.images;
 *   image.toCanvas(document.querySelector('canvas')!);
 * }
 * await runtime.close();
 */
export async function connectWorker(
  worker: WorkerLike,
  { onCompile, ...options }: Omit<RuntimeOptions, 'device'> = {},
): Promise<WorkerRuntime> {
  checkValue('worker', WORKER, worker);
  const line = new Line(worker);
  const opened = await line.ask((thread) => thread.open(options, listening({ onCompile })));
  return new WorkerRuntime(line, opened);
}

/** A runtime in a worker. */
export class WorkerRuntime {
  #canvases = 0;

  constructor(
    private readonly line: Line,
    private readonly opened: OpenedRuntime,
  ) {}

  /** One line: which adapter and driver. */
  get description(): string {
    return this.opened.description;
  }
  /** Bytes that one binding may have. */
  get maxBindingBytes(): number {
    return this.opened.maxBindingBytes;
  }

  /** As `loadModel`; its files are names, Blobs, bytes or `pickedSet`. Throws the same, and OptionError for what cannot cross. */
  async loadModel<Model extends ModelName | FamilyModel>(
    model: Model,
    { signal, onProgress, onDownload, ...options }: LoadModelOptions = {},
  ): Promise<WorkerModel<PromptOf<Model>>> {
    const loaded = await this.line.call(signal, (thread, id) =>
      thread.load(id, model, sentOptions(options), listening({ onProgress, onDownload })),
    );
    return new WorkerModel(this.line, loaded.model, loaded);
  }

  /** Gives a canvas to the worker, which paints on it what it draws (`canvas` of a run). */
  async adopt(canvas: OffscreenCanvas): Promise<WorkerCanvas> {
    const id = this.#canvases++;
    await this.line.thread.adopt(id, transfer(canvas, [canvas]));
    return { canvas: id };
  }

  /** Bytes held on the device, and what was done since the runtime was opened. */
  async status(): Promise<RuntimeStatus> {
    return await this.line.ask((thread) => thread.status());
  }

  /** Ends runs, disposes of models and device, then ends the worker. Idempotent. */
  async close(): Promise<void> {
    await this.line.close();
  }
}

/** A model in a worker. */
export class WorkerModel<Prompt> {
  readonly name: string;
  readonly defaults: SamplingDefaults;

  constructor(
    private readonly line: Line,
    private readonly model: number,
    { name, defaults }: { readonly name: string; readonly defaults: SamplingDefaults },
  ) {
    this.name = name;
    this.defaults = defaults;
  }

  /** As `generate`. */
  async generate(given: WorkerGenerateOptions<Prompt>): Promise<GeneratedImage[]> {
    const { signal, onLine, canvas, ...options } = given;
    const sent = { ...options, ...canvas };
    const images = await this.line.call(signal, (thread, id) => {
      const told = async (data: LineData) =>
        await onLine?.({
          ...data,
          tokens: () => this.line.ask((thread) => thread.tokens(id)),
          preview: async () => revived(await this.line.ask((thread) => thread.preview(id))),
          retained: () => this.line.ask((thread) => thread.retained(id)),
        });
      return thread.generate(id, this.model, sent, listening({ onLine: told }));
    });
    return revived(images);
  }

  /** As `draw`. */
  draw({ canvas, ...given }: WorkerGenerateOptions<Prompt>): AsyncGenerator<DrawEvent, void, undefined> {
    return eventsOf(given as GenerateOptions<Prompt>, (options) =>
      this.generate({ ...options, ...(canvas && { canvas }) }),
    );
  }

  async dispose(): Promise<void> {
    await this.line.thread.dispose(this.model);
  }
}

/** The line to the thread, which may be cut. */
class Line {
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

/** Functions cross as proxies, which cannot tell whether there is one. */
function listening(listener: { readonly [Name in keyof Listener]?: Listener[Name] | undefined }): Listener {
  const { onCompile = ignored, onProgress = ignored, onDownload = ignored, onLine = ignored } = listener;
  return proxy({ onCompile, onProgress, onDownload, onLine });
}

function ignored(): void {}

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

function revived(images: readonly ImageParts[]): GeneratedImage[] {
  return images.map((parts) => new GeneratedImage(parts));
}
