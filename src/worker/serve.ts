/** The worker's side: a runtime and its models, at the service of the page that made the worker. */

import { expose, releaseProxy, transfer } from 'comlink/dist/esm/comlink.mjs';
import { ownEndpoint } from '#worker';
import { type GenerateOptions, generate, type LineProgress } from '../generate.ts';
import type { GeneratedImage, ImageParts } from '../generated-image.ts';
import type { ImageModel } from '../models/image-model.ts';
import { type LoadModelOptions, loadModel } from '../models/load-model.ts';
import type { ModelName, Prompt } from '../models/registry.ts';
import { recipeFor } from '../recipe-for.ts';
import { assert, OptionError } from '../tensor/errors.ts';
import { Runtime } from '../tensor/runtime.ts';
import { pickedSet } from '../tensor/source/file-set.ts';
import { type Answer, type Listener, type LoadedModel, sentError, type Thread } from './protocol.ts';

/**
 * Makes a worker draw for whoever made it: the one line of a worker's own file. A module worker of a page, and a thread of
 * `node:worker_threads` alike. Throws OptionError outside of a worker.
 *
 * @example
 * serveWorker(); // all that draws.js does
 */
export function serveWorker(): void {
  const endpoint = ownEndpoint();
  if (!endpoint) throw new OptionError('serveWorker: expected to be called in a worker, got the main thread');
  expose(thread(), endpoint);
}

function thread(): Thread {
  let opened: Runtime | undefined;
  const models: ImageModel<Prompt>[] = [];
  const canvases = new Map<number, OffscreenCanvas>();
  const calls = new Map<number, Call>();

  const runtime = () => {
    assert(opened, 'a runtime was opened');
    return opened;
  };
  const modelOf = (index: number) => {
    const model = models[index];
    assert(model, `model ${index}`);
    return model;
  };
  const begin = (id: number, listener: Listener): Call => {
    const call = new Call(listener);
    calls.set(id, call);
    void call.ended.then(() => calls.delete(id));
    return call;
  };
  const lineOf = (id: number): LineProgress => {
    const line = calls.get(id)?.line;
    if (!line) throw new OptionError('event: expected to be asked while its line is looked at, got asked later');
    return line;
  };

  return {
    open: async (options, listener) =>
      answered(async () => {
        // shaders are compiled in every call, so this listener is kept
        opened = await Runtime.open({ ...options, onCompile: (progress) => void listener.onCompile(progress) });
        return { description: opened.description, maxBindingBytes: opened.maxBindingBytes };
      }),
    load: (id, model, options, listener) => {
      const call = begin(id, listener);
      return call.answer(async (signal): Promise<LoadedModel> => {
        const loaded = await loadModel(runtime(), model as ModelName, {
          ...withPicked(options),
          signal,
          onProgress: (progress) => call.told(listener.onProgress(progress)),
          onDownload: (progress) => call.told(listener.onDownload(progress)),
        });
        models.push(loaded as ImageModel<Prompt>);
        return { model: models.length - 1, name: loaded.name, defaults: loaded.defaults };
      });
    },
    generate: (id, index, options, listener) => {
      const call = begin(id, listener);
      return call.answer(async (signal) => {
        const { canvas, ...rest } = options as GenerateOptions<Prompt> & { readonly canvas?: number };
        const surface = canvas === undefined ? undefined : canvases.get(canvas);
        const onLine = async (progress: LineProgress) => {
          call.line = progress;
          const { line, lines, kvBytes, isPreviewDue } = progress;
          if (surface && isPreviewDue) (await progress.preview([0]))[0]?.toCanvas(surface);
          await listener.onLine({ line, lines, kvBytes, isPreviewDue });
          call.line = undefined;
        };
        const images = await generate(modelOf(index), { ...rest, signal, onLine });
        if (surface) images[0]?.toCanvas(surface);
        return sentImages(images);
      });
    },
    tokens: (id) => answered(async () => await lineOf(id).tokens()),
    preview: (id) => answered(async () => sentImages(await lineOf(id).preview())),
    retained: (id) => answered(async () => await lineOf(id).retained()),
    recipe: (index, options, image, loaded) =>
      answered(async () => recipeFor(modelOf(index), options as GenerateOptions<Prompt>, image, loaded)),
    abort: (id) => calls.get(id)?.stop.abort(new Error('aborted by the page')),
    adopt: (id, canvas) => void canvases.set(id, canvas),
    status: () => {
      const { liveBytes, peakBytes, counters } = runtime();
      return { value: { liveBytes, peakBytes, counters: { ...counters } } };
    },
    dispose: async (index) => models[index]?.dispose(),
    close: async () => {
      const running = [...calls.values()];
      for (const { stop } of running) stop.abort(new Error('the worker is closed'));
      await Promise.all(running.map(({ ended }) => ended));
      for (const model of models) model.dispose();
      await opened?.settled().catch(() => undefined); // nothing may be pending in the driver when the thread ends
      opened?.dispose();
    },
  };
}

/** A call that can be aborted. */
class Call {
  readonly stop = new AbortController();
  /** The line that the page is looking at. */
  line: LineProgress | undefined;
  readonly ended: Promise<void>;
  #end = () => {};

  constructor(private readonly listener: Listener) {
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  /** An error in the page's callback ends the call, as it would in the page. */
  told(heard: void | Promise<void>): void {
    Promise.resolve(heard).catch((error) => this.stop.abort(error));
  }

  async answer<T>(work: (signal: AbortSignal) => Promise<T>): Promise<Answer<T>> {
    try {
      return await answered(() => work(this.stop.signal));
    } finally {
      (this.listener as { [releaseProxy]?: () => void })[releaseProxy]?.();
      this.#end();
    }
  }
}

async function answered<T>(work: () => Promise<T>): Promise<Answer<T>> {
  try {
    return { value: await work() };
  } catch (error) {
    return { error: sentError(error) };
  }
}

/** The pixels go over, they are not copied. */
function sentImages(images: readonly GeneratedImage[]): ImageParts[] {
  const parts = images.map(({ width, height, pixels, tokens }) => ({ width, height, pixels, tokens }));
  return transfer(
    parts,
    parts.flatMap(({ pixels, tokens }) => [pixels.buffer, tokens.buffer]),
  );
}

/** Files that a user picked come as a list. */
function withPicked(options: object): LoadModelOptions {
  return Object.fromEntries(
    Object.entries(options).map(([name, value]) => [name, Array.isArray(value) ? pickedSet(value) : value]),
  );
}
