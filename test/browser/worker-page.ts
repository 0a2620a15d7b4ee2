/** Runs in the page: the library in a worker, as a page uses it. */

import type { GeneratedImage } from '../../src/generated-image.ts';
import { connectWorker } from '../../src/worker/connect.ts';

export interface WorkerResult {
  /** Whether the preview of the last line is the image; the canvas that the worker painted is awaited. */
  readonly isSame: boolean;
  readonly pixels: readonly number[];
  /** What an aborted run threw. */
  readonly thrown: string;
  /** Bytes on the device: before the runs, after them, and without the model. */
  readonly liveBytes: readonly number[];
}

export async function workerRound(model: object, files: Readonly<Record<string, string>>): Promise<WorkerResult> {
  const worker = new Worker(new URL('draws.js', import.meta.url), { type: 'module' });
  const runtime = await connectWorker(worker);
  const liveBytes = async () => (await runtime.status()).liveBytes;
  const loaded = await runtime.loadModel(model as never, { ...files, dtype: 'f32' });
  const canvas = document.createElement('canvas');
  document.body.append(canvas);
  const surface = await runtime.adopt(canvas.transferControlToOffscreen());
  const drawing = { prompt: { classes: [9] } as never, guidanceScale: 1, canvas: surface };

  const before = await liveBytes();
  let preview: GeneratedImage | undefined;
  let image: GeneratedImage | undefined;
  for await (const event of loaded.draw(drawing)) {
    if (event.kind === 'images') image = event.images[0];
    else if (event.line === event.lines) preview = (await event.preview())[0];
  }
  const pixels = [...(image?.pixels ?? [])];
  // what a worker paints is on the page with some later frame
  while (!isSamePixels(shown(canvas), pixels)) await new Promise((next) => requestAnimationFrame(next));

  const stop = new AbortController();
  const onLine = () => stop.abort(new Error('enough'));
  const thrown = await loaded.generate({ ...drawing, signal: stop.signal, onLine }).then(
    () => 'nothing',
    (error: Error) => error.message,
  );
  const after = await liveBytes();
  await loaded.dispose();
  const left = await liveBytes();
  await runtime.close();

  const isSame = isSamePixels([...(preview?.pixels ?? [])], pixels);
  return { isSame, pixels, thrown, liveBytes: [before, after, left] };
}

function isSamePixels(some: readonly number[], others: readonly number[]): boolean {
  return some.length === others.length && some.every((value, i) => value === others[i]);
}

function shown(canvas: HTMLCanvasElement): number[] {
  const copy = new OffscreenCanvas(canvas.width, canvas.height);
  const context = copy.getContext('2d');
  context?.drawImage(canvas, 0, 0);
  return [...(context?.getImageData(0, 0, canvas.width, canvas.height).data ?? [])].filter((_, i) => i % 4 < 3);
}
