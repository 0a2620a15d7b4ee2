/**
 * The corridor: condition → prefill → tokens, line by line → pixels. Read this file first.
 *
 * A step is recorded once and replayed for every token; the CPU only says where the token goes (`Run.draw`). A line
 * ends when its last token has been fed, which is in the step that draws the first token of the next line. The very last
 * token is drawn and never fed. All is recorded and has its memory before the first token: after that only the device can
 * fail.
 */

import { orAborted } from './abort.ts';
import { planCache } from './cache/policy.ts';
import { readRetention } from './cache/retention.ts';
import { GENERATE_OPTIONS, type GenerateOptions, type LineProgress, MODEL } from './generate-options.ts';
import type { GeneratedImage } from './generated-image.ts';
import { ImageDecoder } from './image.ts';
import type { ImageModel } from './models/image-model.ts';
import { openCondition, openRun } from './open-run.ts';
import { PreviewClock } from './preview-clock.ts';
import { repeated } from './prompt-list.ts';
import { expectGiven, resolveSampling, SAMPLING_OPTIONS, Sampler } from './sampler.ts';
import { checkOptions, checkValue, pickOptions } from './tensor/options.ts';

export { GENERATE_OPTIONS, type GenerateOptions, type LineProgress };

/**
 * Draws a batch of images, one for each prompt or `images` of them.
 *
 * Throws OptionError before anything is allocated; DeviceError before the first token where the device does not hold the
 * run, or when it fails; NotFiniteError at the end of a line; DecodeError, with the tokens, when it fails after the last;
 * and the signal's reason. Whatever it throws, it has freed everything.
 *
 * @example
 *     const [image] = await generate(model, { prompt: { classes: [207] }, cache: { budgetLines: 6 }, seed: 7 });
 */
export async function generate<Prompt>(
  model: ImageModel<Prompt>,
  given: GenerateOptions<Prompt>,
): Promise<GeneratedImage[]> {
  const options = checkOptions(GENERATE_OPTIONS, given) as GenerateOptions<Prompt>;
  const { runtime } = checkValue('model', MODEL, model);
  const { signal, onLine, tokens = [] } = options;
  const prompt = repeated(options.prompt, options.images);
  const grid = model.grid(prompt);
  const sampling = resolveSampling(pickOptions(SAMPLING_OPTIONS, options), model.defaults);
  const plan = planCache(options.cache ?? {}, grid, options);
  const range = { ...grid, ...model.imageTokens };
  expectGiven(tokens, range);
  signal?.throwIfAborted();

  using condition = openCondition(model, prompt, sampling.guidanceScale > 1);
  using run = await openRun(model, { condition, grid, plans: [plan] }, (images) =>
    Sampler.open(runtime, images, { range, sampling, given: tokens }),
  );
  using decoder = await ImageDecoder.open(model, grid);
  const { head, store } = run;
  const previews = new PreviewClock();
  const soFar = async (length: number) => (await head.read()).map((image) => image.slice(0, length));
  for (let line = 1; line <= grid.lines; line++) {
    const beganMs = performance.now();
    await orAborted(run.drawLine(head.check), signal);
    await orAborted(head.settled(), signal);
    previews.drew(performance.now() - beganMs);
    const drawn = line * grid.lineLength;
    const decoded = decoder.previewLines(line);
    const progress: LineProgress = {
      ...{ line, lines: grid.lines, kvBytes: store.bytes, isPreviewDue: line < grid.lines && previews.isDue(decoded) },
      tokens: () => soFar(drawn),
      preview: async (of) => {
        await decoder.ready(); // what compiles once is no preview's cost
        return await previews.timed(decoded, async () => await decoder.preview(someOf(await soFar(drawn), of), signal));
      },
      retained: () => readRetention(store),
    };
    await orAborted(onLine?.(progress), signal);
  }
  const images = await head.read();
  run.dispose(); // keys and values, before pixels take their place
  return await decoder.decode(images, signal);
}

function someOf<T>(all: readonly T[], places: readonly number[] = [...all.keys()]): T[] {
  return places.map((place) => all[place]!);
}
