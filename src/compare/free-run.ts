/** A setting drawing by itself, each time the likeliest token, with the clock beside it. */

import { orAborted } from '../abort.ts';
import { type CacheOptions, planCache } from '../cache/policy.ts';
import type { ParallelOptions } from '../cache/step-options.ts';
import type { GeneratedImage } from '../generated-image.ts';
import { ImageDecoder } from '../image.ts';
import type { ImageModel } from '../models/image-model.ts';
import { openCondition, openRun } from '../open-run.ts';
import { resolveSampling, Sampler } from '../sampler.ts';

export interface FreeRunOptions<Prompt> {
  readonly prompt: Prompt;
  readonly cache: CacheOptions;
  /** Default: one line after another. */
  readonly parallel?: ParallelOptions | undefined;
  readonly guidanceScale: number;
  readonly signal: AbortSignal | undefined;
  /** At the end of every line. */
  readonly onLine: () => void;
}

/** What a cache draws, and what that takes. */
export interface FreeRun {
  readonly images: readonly GeneratedImage[];
  /** Bytes of keys and values. */
  readonly kvBytes: number;
  /** A token of all images, without the prompt before and the decoding into pixels after them. */
  readonly msPerToken: number;
  /** Share of that time for choosing, moving and summing at the ends of lines, before and after which the queue is awaited. */
  readonly evictionShare: number;
}

export async function freeRun<Prompt>(model: ImageModel<Prompt>, options: FreeRunOptions<Prompt>): Promise<FreeRun> {
  const { runtime } = model;
  const { prompt, cache, parallel, guidanceScale, signal, onLine } = options;
  const grid = model.grid(prompt);
  const range = { ...grid, ...model.imageTokens };
  const plan = planCache(cache, grid, { parallel });
  const sampling = resolveSampling({ guidanceScale, temperature: 0, topK: 0, topP: 1 }, {});
  const condition = openCondition(model, prompt, guidanceScale > 1);
  using decoder = await ImageDecoder.open(model, grid);
  using run = await openRun(model, { condition, grid, plans: [plan] }, (images) =>
    Sampler.open(runtime, images, { range, sampling, given: [] }),
  );
  await decoder.ready(); // nothing is compiled while time is taken
  const { head, store } = run;

  const settled = () => orAborted(runtime.settled(), signal);
  run.draw(); // of the prompt
  await settled();
  const start = performance.now();
  let evictionMs = 0;
  for (let line = 1; line <= grid.lines; line++) {
    for (let left = line > 1 ? plan.window : grid.lineLength - 1; left > 0; left--) {
      const ends = run.drawBeforeEnd(...(left === 1 ? [head.check] : []));
      if (ends.length === 0) continue;
      await settled();
      const since = performance.now();
      runtime.run(...ends);
      await settled();
      evictionMs += performance.now() - since;
    }
    await orAborted(head.settled(), signal);
    onLine();
  }
  const elapsedMs = performance.now() - start;
  const images = await head.read();
  const { bytes: kvBytes } = store;
  run.dispose(); // keys and values, before pixels take their place
  return {
    images: await decoder.decode(images, signal),
    kvBytes,
    msPerToken: elapsedMs / (grid.lines * grid.lineLength - 1),
    evictionShare: evictionMs / elapsedMs,
  };
}
