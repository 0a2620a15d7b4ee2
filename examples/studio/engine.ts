/** The worker that draws: opened when it is first needed, and made anew after its device was lost. */

import { type CheckpointSource, downloads, type FileSet, pickedSet, type Prompt } from 'rasterline';
import { connectWorker, type WorkerModel, type WorkerRuntime } from 'rasterline/worker';
import type { Secrets } from './form.ts';
import { controlled } from './offline.ts';
import { isShipped, modelOf, type Settings } from './settings.ts';

export interface Progress {
  readonly what: string;
  /** 0 to 1; absent: nobody knows. */
  readonly share?: number;
}

export interface Opened {
  readonly runtime: WorkerRuntime;
  readonly model: WorkerModel<Prompt>;
  /** How it was loaded, for a recipe: names of a hub, and of a file its name. */
  readonly loaded: Readonly<Record<string, string>>;
}

interface OpenOptions extends Secrets {
  readonly signal: AbortSignal;
  onProgress(progress: Progress): void;
}

let runtime: WorkerRuntime | undefined;
let kept: (Opened & { readonly key: string }) | undefined;

/** The model of the settings, loaded unless it is there. */
export async function openModel(settings: Settings, { files, vqFiles, textFiles, token, signal, onProgress }: OpenOptions): Promise<Opened> {
  const { model: name, configuration, dtype } = settings;
  const checkpoint = place('checkpoint', settings.checkpoint, files);
  const vq = place('VQ tokenizer', settings.vq, vqFiles);
  const textEncoder = place('text encoder', settings.textEncoder, textFiles);
  const sources = { ...(checkpoint && { checkpoint }), ...(vq && { vq }), ...(textEncoder && { textEncoder }) };
  const named = [name, configuration, settings.checkpoint, settings.vq, settings.textEncoder, dtype];
  const key = JSON.stringify([...named, [...files, ...vqFiles, ...textFiles].map(identity)]);
  if (kept?.key === key) return kept;
  await kept?.model.dispose();
  kept = undefined;
  runtime ??= await newRuntime(onProgress);
  const fromElsewhere = { dtype, ...sources, ...(token && { token }), cache: await keepsFiles() };
  const model = await runtime.loadModel(modelOf(settings), {
    ...(!isShipped(name) && fromElsewhere),
    signal,
    onProgress: ({ loadedBytes, totalBytes }) => onProgress({ what: 'Loading the model', share: loadedBytes / totalBytes }),
    onDownload: ({ file, loadedBytes, totalBytes }) => onProgress({ what: `Downloading ${file}`, share: loadedBytes / totalBytes }),
  });
  const names = Object.entries(sources).flatMap(([part, source]) => {
    const name = typeof source === 'string' ? source : source instanceof File ? source.name : undefined;
    return name === undefined ? [] : [[part, name]];
  });
  kept = { key, runtime, model: model as WorkerModel<Prompt>, loaded: { dtype, ...Object.fromEntries(names) } };
  return kept;
}

/** After a failure of the device: the next run gets a new one. */
export async function closeEngine(): Promise<void> {
  const before = runtime;
  runtime = kept = undefined;
  await before?.close().catch(() => undefined);
}

async function newRuntime(onProgress: (progress: Progress) => void): Promise<WorkerRuntime> {
  onProgress({ what: 'Opening the graphics device' });
  await controlled();
  const worker = new Worker(new URL('draws.js', import.meta.url), { type: 'module' });
  return await connectWorker(worker, {
    onCompile: ({ compiled, asked }) => onProgress({ what: 'Preparing shaders', share: compiled / Math.max(1, asked) }),
  });
}

/** Where storage is blocked, released models are read anew each time. */
async function keepsFiles(): Promise<boolean> {
  return await downloads().then(
    () => true,
    () => false,
  );
}

/** Where a part of the model is: a name, a file, or several. */
function place(what: string, name: string, files: readonly File[]): CheckpointSource | FileSet | undefined {
  const [file] = files;
  if (name && file) throw new Error(`Both ‘${name}’ and ${file.name} are given for the ${what}: clear one of them.`);
  return name || (files.length > 1 ? pickedSet(files) : file);
}

function identity({ name, size, lastModified }: File): readonly unknown[] {
  return [name, size, lastModified];
}
