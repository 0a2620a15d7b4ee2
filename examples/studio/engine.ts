/** The worker that draws: opened when it is first needed, and made anew after its device was lost. */

import { pickedSet, type ModelName, type Prompt } from 'rasterline';
import { connectWorker, type WorkerModel, type WorkerRuntime } from 'rasterline/worker';
import type { Settings } from './settings.ts';

export interface Progress {
  readonly what: string;
  /** 0 to 1; absent: nobody knows. */
  readonly share?: number;
}

interface Loaded {
  readonly key: string;
  readonly runtime: WorkerRuntime;
  readonly model: WorkerModel<Prompt>;
}

let loaded: Loaded | undefined;

/** The model of the settings, loaded unless it is there. */
export async function openModel(
  settings: Settings,
  { files, signal, onProgress }: { readonly files: readonly File[]; readonly signal: AbortSignal; readonly onProgress: (progress: Progress) => void },
): Promise<{ readonly runtime: WorkerRuntime; readonly model: WorkerModel<Prompt> }> {
  const { model: name, checkpoint, vq, dtype } = settings;
  const key = JSON.stringify([name, checkpoint, vq, dtype, files.map((file) => [file.name, file.size])]);
  if (loaded?.key === key) return loaded;
  const runtime = loaded?.runtime ?? (await newRuntime(onProgress));
  await loaded?.model.dispose();
  loaded = undefined;
  const isShipped = name.startsWith('emoji');
  const source = files.length > 0 ? pickedSet(files) : checkpoint;
  try {
    const model = await runtime.loadModel(name as ModelName, {
      ...(!isShipped && { dtype, ...(source && { checkpoint: source }), ...(vq && { vq: vqOf(vq, files) }) }),
      signal,
      onProgress: ({ loadedBytes, totalBytes }) => onProgress({ what: 'Loading the model', share: loadedBytes / totalBytes }),
      onDownload: ({ file, loadedBytes, totalBytes }) => onProgress({ what: `Downloading ${file}`, share: loadedBytes / totalBytes }),
    });
    loaded = { key, runtime, model: model as WorkerModel<Prompt> };
    return loaded;
  } catch (error) {
    await runtime.close();
    throw error;
  }
}

/** After a failure: the next run gets a new device. */
export async function closeEngine(): Promise<void> {
  const before = loaded;
  loaded = undefined;
  await before?.runtime.close().catch(() => undefined);
}

async function newRuntime(onProgress: (progress: Progress) => void): Promise<WorkerRuntime> {
  onProgress({ what: 'Opening the graphics device' });
  const worker = new Worker(new URL('draws.js', import.meta.url), { type: 'module' });
  return await connectWorker(worker, {
    onCompile: ({ compiled, asked }) => onProgress({ what: 'Preparing shaders', share: compiled / Math.max(1, asked) }),
  });
}

/** A file that was picked, by its name, or a name of elsewhere. */
function vqOf(name: string, files: readonly File[]): File | string {
  return files.find((file) => file.name === name) ?? name;
}
