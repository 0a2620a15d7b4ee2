/**
 * The corridor: condition → prefill → tokens, line by line → pixels. Read this file first.
 *
 * A step is recorded once and replayed for every token; the CPU only says where the token goes (`store.place`). A line
 * ends when its last token has been fed, which is in the step that draws the first token of the next line. The very last
 * token is drawn and never fed.
 */

import { KvStore } from './cache/kv-store.ts';
import { planCache } from './cache/policy.ts';
import { GENERATE_OPTIONS, type GenerateOptions, type LineProgress, MODEL } from './generate-options.ts';
import { type GeneratedImage, toPixels } from './image.ts';
import type { ImageModel } from './models/image-model.ts';
import { expectGiven, resolveSampling, SAMPLING_OPTIONS, Sampler } from './sampler.ts';
import { checkOptions, checkValue, pickOptions } from './tensor/options.ts';

export type { GenerateOptions, LineProgress };

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
  given: GenerateOptions<Prompt>,
): Promise<GeneratedImage[]> {
  const options = checkOptions(GENERATE_OPTIONS, given) as GenerateOptions<Prompt>;
  const { runtime } = checkValue('model', MODEL, model);
  const grid = model.grid(options.prompt);
  const { lines, lineLength } = grid;
  const count = lines * lineLength;
  const sampling = resolveSampling(pickOptions(SAMPLING_OPTIONS, options), model.defaults);
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
