/**
 * The corridor: condition → prefill → tokens, line by line → pixels. Read this file first.
 *
 * A step is recorded once and replayed for every token; the CPU only says where the token goes (`store.place`). A line
 * ends when its last token has been fed, which is in the step that draws the first token of the next line. The very last
 * token is drawn and never fed.
 */

import { KvStore } from './cache/kv-store.ts';
import { type CacheOptions, planCache } from './cache/policy.ts';
import { type GeneratedImage, toPixels } from './image.ts';
import type { ImageModel } from './models/image-model.ts';
import { expectGiven, type GivenTokens, resolveSampling, Sampler, type SamplingOptions } from './sampler.ts';

/** What to draw, how freely, and how much of it is remembered. */
export interface GenerateOptions<Prompt> extends SamplingOptions {
  /** What to draw, for all images of the batch: for class-conditional models `{ classes: [207, 360] }`. */
  readonly prompt: Prompt;
  /** How many lines of the image are remembered, and by which policy. Default: all. */
  readonly cache?: CacheOptions;
  /**
   * First tokens of every image, in raster order, ends of lines included: they are fed as if they had been drawn, so that
   * an image is gone on with, or a run repeated. All images are given the same number. Default: none.
   */
  readonly tokens?: readonly GivenTokens[];
  /** Called when a line of tokens is complete; awaited, so that it may read or show them. */
  readonly onLine?: (progress: LineProgress) => void | Promise<void>;
  /** Checked at the end of every line. The run then throws the signal's reason; everything it made is freed. */
  readonly signal?: AbortSignal;
}

/** How far a run is, at the end of a line. */
export interface LineProgress {
  /** Lines complete, and in all. */
  readonly line: number;
  readonly lines: number;
  /** Bytes of keys and values held. */
  readonly kvBytes: number;
  /** Tokens so far of each image; a read-back, made only when called. */
  readonly tokens: () => Promise<Uint32Array[]>;
}

/**
 * Draws a batch of images, one for each prompt.
 *
 * Throws OptionError before anything is allocated, DeviceError when the device fails, and the signal's reason.
 *
 * @example
 * const images = await generate(model, { prompt: { classes: [187, 100] }, seed: 7, cache: { budgetLines: 8 } });
 */
export async function generate<Prompt>(
  model: ImageModel<Prompt>,
  options: GenerateOptions<Prompt>,
): Promise<GeneratedImage[]> {
  const { runtime } = model;
  const grid = model.grid(options.prompt);
  const { lines, lineLength } = grid;
  const count = lines * lineLength;
  const sampling = resolveSampling(options, model.defaults);
  const plan = planCache(options.cache ?? {}, grid);
  const range = { ...grid, ...model.imageTokens };
  expectGiven(options.tokens ?? [], range);
  options.signal?.throwIfAborted();

  using condition = model.condition(options.prompt, sampling.guidanceScale > 1);
  const { rows, images, promptLength } = condition;
  using draw = new Sampler(runtime, images, range, sampling, options.tokens);
  using store = await KvStore.open(
    runtime,
    { ...model.geometry, ...grid, ...condition, condition: promptLength, dtype: model.kvDtype },
    plan,
  );
  using prefill = await runtime.record('prefill', () =>
    draw.next(model.logits(condition.embeddings(), store.prefill, promptLength)),
  );
  using step = await runtime.record('step', () =>
    draw.next(model.logits(model.embed(draw.token, rows), store.decode, 1)),
  );

  const soFar = async (length: number) => (await draw.read()).map((image) => image.slice(0, length));
  prefill.run();
  for (let i = 0; i < count - 1; i++) {
    runtime.run(step, ...store.place(i));
    if ((i + 2) % lineLength !== 0) continue;
    await runtime.settled();
    options.signal?.throwIfAborted();
    await options.onLine?.({ line: (i + 2) / lineLength, lines, kvBytes: store.bytes, tokens: () => soFar(i + 2) });
  }
  return await toPixels(model, grid, await draw.read(), options.signal);
}
