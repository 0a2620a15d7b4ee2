/** One picture, line by line: painted as it comes, with its figures, and gone on with after a loss. */

import type { CacheOptions, GeneratedImage, Recipe, Retention } from 'rasterline';
import { megabytes } from './dom.ts';
import { openModel, type Progress } from './engine.ts';
import { secrets } from './form.ts';
import { promptOf, type Settings } from './settings.ts';

export interface Finished {
  readonly image: GeneratedImage;
  readonly recipe: Recipe;
  readonly figures: string;
}

export interface RunOptions {
  readonly settings: Settings;
  readonly cache: CacheOptions;
  readonly canvas: HTMLCanvasElement;
  readonly figures: HTMLElement;
  readonly signal: AbortSignal;
  /** Tokens that an earlier run drew before it failed. */
  readonly tokens?: Uint32Array | undefined;
  onProgress(progress: Progress): void;
  /** Tokens so far, and what is remembered of them. */
  onLine(line: { readonly line: number; readonly lines: number; readonly tokens: Uint32Array; readonly retention: Retention }): void;
}

export async function run(options: RunOptions): Promise<Finished> {
  const { settings, cache, canvas, figures, signal, tokens, onProgress, onLine } = options;
  const prompt = promptOf(settings);
  const { runtime, model, loaded } = await openModel(settings, { ...secrets(), signal, onProgress });
  const drawing = { prompt, seed: settings.seed, guidanceScale: settings.guidance, cache };
  const before = await runtime.status();
  const began = performance.now();
  let previewMs = 0;
  let drawn = 0;
  let kvBytes = 0;
  const given = tokens && tokens.length > 0 ? { tokens: [tokens] } : {};
  for await (const event of model.draw({ ...drawing, signal, ...given })) {
    const elapsedMs = performance.now() - began;
    if (event.kind === 'images') {
      const image = event.images[0];
      if (!image) throw new Error('no picture came');
      image.toCanvas(canvas);
      const { counters, liveBytes } = await runtime.status();
      const count = image.tokens.length;
      const dispatches = Math.round((counters.dispatches - before.counters.dispatches) / count);
      const text = `${rate(count, elapsedMs - previewMs)}, ${megabytes(kvBytes)} remembered\n${dispatches} dispatches a token, ${megabytes(liveBytes)} on the GPU`;
      figures.textContent = text;
      return { image, recipe: await model.recipe(drawing, 0, loaded), figures: text };
    }
    const [soFar] = await event.tokens();
    if (!soFar) throw new Error('no tokens came');
    drawn = soFar.length;
    kvBytes = event.kvBytes;
    onLine({ line: event.line, lines: event.lines, tokens: soFar, retention: await event.retained() });
    figures.textContent = `Line ${event.line} of ${event.lines}, ${rate(drawn, elapsedMs - previewMs)}`;
    // whoever watches sees half of the picture at least, on the slowest of drivers too
    if (!event.isPreviewDue && event.line !== Math.ceil(event.lines / 2)) continue;
    const from = performance.now();
    const [preview] = await event.preview();
    previewMs += performance.now() - from;
    if (preview) paintDrawn(preview, canvas, event.line / event.lines);
  }
  throw new Error('the run ended without a picture');
}

/** The lines drawn so far; where the rest will be, the paper shows. */
function paintDrawn(image: GeneratedImage, canvas: HTMLCanvasElement, share: number): void {
  image.toCanvas(canvas);
  const from = Math.round(image.height * share);
  canvas.getContext('2d')?.clearRect(0, from, image.width, image.height - from);
}

function rate(tokens: number, milliseconds: number): string {
  return `${((1000 * tokens) / Math.max(1, milliseconds)).toFixed(0)} tokens/s`;
}
