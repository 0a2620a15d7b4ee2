/** One measured run of the corridor, for the commands. */

import { storeBytes, storeSlots } from '../cache/kv-store.ts';
import { planCache } from '../cache/policy.ts';
import { type GenerateOptions, generate } from '../generate.ts';
import type { GeneratedImage } from '../image.ts';
import type { ClassPrompt, LlamaGenPrompt } from '../models/llamagen/condition.ts';
import type { LlamaGen } from '../models/llamagen/index.ts';
import { resolveSampling } from '../sampler.ts';
import { progressBar } from './progress.ts';

export interface MeasuredRun {
  readonly images: readonly GeneratedImage[];
  readonly elapsedMs: number;
  /** Tokens of all images a second, the decoding into pixels included. */
  readonly tokensPerSecond: number;
  readonly kvBytes: number;
  /** Of the whole run, line ends and decoding included, over the tokens of one image. */
  readonly dispatchesPerToken: number;
}

export async function measuredRun(
  model: LlamaGen,
  label: string,
  options: GenerateOptions<LlamaGenPrompt> & { readonly prompt: ClassPrompt },
): Promise<MeasuredRun> {
  const bar = progressBar(label);
  const dispatches = model.runtime.counters.dispatches;
  const start = performance.now();
  try {
    const images = await generate(model, { ...options, onLine: ({ line, lines }) => bar.update(line, lines) });
    const elapsedMs = performance.now() - start;
    const tokens = images[0]?.tokens.length ?? 1;
    const guided = resolveSampling(options, model.defaults).guidanceScale > 1;
    const plan = planCache(options.cache ?? {}, model.grid.lines);
    const shape = { ...model.geometry, rows: guided ? 2 * images.length : images.length, dtype: model.kvDtype };
    return {
      images,
      elapsedMs,
      tokensPerSecond: (tokens * images.length * 1000) / elapsedMs,
      kvBytes: storeBytes(shape, storeSlots(plan, model.grid.lineLength, 1)),
      dispatchesPerToken: (model.runtime.counters.dispatches - dispatches) / tokens,
    };
  } finally {
    bar.stop();
  }
}
