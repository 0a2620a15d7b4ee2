/** The page's side: a runtime and its models as they are used in the page, at work in a worker. */

import { proxy, transfer } from 'comlink/dist/esm/comlink.mjs';
import { type DrawEvent, eventsOf } from '../draw.ts';
import type { GenerateOptions } from '../generate-options.ts';
import { GeneratedImage, type ImageParts } from '../generated-image.ts';
import type { SamplingDefaults } from '../models/image-model.ts';
import type { LoadModelOptions } from '../models/load-model.ts';
import type { FamilyModel, ModelName, PromptOf } from '../models/registry.ts';
import type { Recipe } from '../recipe.ts';
import { checkValue } from '../tensor/options.ts';
import type { RuntimeOptions } from '../tensor/runtime-options.ts';
import { Line, WORKER, type WorkerLike } from './line.ts';
import type { LineData, Listener, OpenedRuntime, RuntimeStatus } from './protocol.ts';
import { sentOptions } from './sent-options.ts';

/** What a run in a worker takes more. */
export interface WorkerGenerateOptions<Prompt> extends GenerateOptions<Prompt> {
  /** The worker paints the first image on it, at every line whose preview is due. */
  readonly canvas?: WorkerCanvas;
}

/** A canvas that was given to the worker. */
export interface WorkerCanvas {
  readonly canvas: number;
}

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
 *   const [image] = event.kind === 'images' ? event.images : event.isPreviewDue ? await event.preview() : [];
 *   image?.toCanvas(document.querySelector('canvas')!);
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

/**
 * A runtime in a worker, from `connectWorker`.
 *
 * @example
 * const runtime = await connectWorker(new Worker(new URL('./draws.js', import.meta.url), { type: 'module' }));
 * const { liveBytes, counters } = await runtime.status();
 * console.log(runtime.description, liveBytes, counters.dispatches);
 */
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

/**
 * A model in a worker, from `loadModel` of its runtime.
 *
 * @example
 * const runtime = await connectWorker(new Worker(new URL('./draws.js', import.meta.url), { type: 'module' }));
 * const model = await runtime.loadModel('emoji');
 * const canvas = await runtime.adopt(document.querySelector('canvas')!.transferControlToOffscreen());
 * await model.generate({ prompt: { classes: [187] }, canvas });
 */
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

  /** As `recipeFor`, of image number `image` of a run with these options. */
  async recipe(
    { signal: _, onLine: __, canvas: ___, ...options }: WorkerGenerateOptions<Prompt>,
    image = 0,
    loaded: Readonly<Record<string, string>> = {},
  ): Promise<Recipe> {
    return await this.line.ask((thread) => thread.recipe(this.model, options, image, loaded));
  }

  async dispose(): Promise<void> {
    await this.line.thread.dispose(this.model);
  }
}

/** Functions cross as proxies, which cannot tell whether there is one. */
function listening(listener: { readonly [Name in keyof Listener]?: Listener[Name] | undefined }): Listener {
  const { onCompile = ignored, onProgress = ignored, onDownload = ignored, onLine = ignored } = listener;
  return proxy({ onCompile, onProgress, onDownload, onLine });
}

function ignored(): void {}

function revived(images: readonly ImageParts[]): GeneratedImage[] {
  return images.map((parts) => new GeneratedImage(parts));
}
