/** One measured run of the corridor, for the commands. */

import { type GenerateOptions, generate, type LineProgress } from '../generate.ts';
import type { GeneratedImage } from '../generated-image.ts';
import type { ImageModel } from '../models/image-model.ts';
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

/** `draw` is `generate`, or a layer around it; `options.onLine` is called too. */
export async function measuredRun<Prompt>(
  model: ImageModel<Prompt>,
  { label, draw = generate }: { readonly label: string; readonly draw?: typeof generate<Prompt> },
  options: GenerateOptions<Prompt>,
): Promise<MeasuredRun> {
  const bar = progressBar(label);
  const { counters } = model.runtime;
  const { dispatches } = counters;
  const start = performance.now();
  let kvBytes = 0;
  const onLine = async (progress: LineProgress) => {
    kvBytes = progress.kvBytes;
    await options.onLine?.(progress);
    bar.update(progress.line, progress.lines);
  };
  try {
    const images = await draw(model, { ...options, onLine });
    const elapsedMs = performance.now() - start;
    const tokens = images[0]?.tokens.length ?? 1;
    return {
      images,
      elapsedMs,
      tokensPerSecond: (tokens * images.length * 1000) / elapsedMs,
      kvBytes,
      dispatchesPerToken: (counters.dispatches - dispatches) / tokens,
    };
  } finally {
    bar.stop();
  }
}
