/** Draws the images of a command run after run, writes each as it is done, and notes how far it is. */

import type { GenerateOptions, LineProgress } from '../generate.ts';
import type { Journal } from '../journal.ts';
import type { Prompt } from '../models/registry.ts';
import { encodePng } from '../png.ts';
import { recipeFor } from '../recipe-for.ts';
import { generateAndRecover } from '../recover.ts';
import { optionsOf, runsOf, withWhatFits } from '../runs.ts';
import { writeWhole } from '../tensor/source/write-node.ts';
import type { OpenedModel } from './opened-model.ts';
import { megabytes } from './options.ts';
import { measuredRun } from './run.ts';

export type HowFar = Pick<Journal, 'done' | 'tokens'>;

export interface DrawAllOptions {
  readonly options: GenerateOptions<Prompt>;
  /** One an image. */
  readonly files: readonly string[];
  readonly atOnce: number;
  /** Where another process ended. */
  readonly resumed?: HowFar | undefined;
  /** For the recipes. */
  readonly loaded: Readonly<Record<string, string>>;
  /** Called before the first line, and at the end of each; awaited. */
  readonly note?: (howFar: HowFar) => Promise<void>;
}

export async function drawAll(opened: OpenedModel, all: DrawAllOptions): Promise<void> {
  const { options, files, note } = all;
  const { done = 0, tokens: begun = [] } = all.resumed ?? {};
  // what was begun is ended together, as it was begun
  const first = Array.from({ length: begun.length }, (_, i) => done + i);
  const runs = [...(first.length > 0 ? [first] : []), ...runsOf(files.length, all.atOnce, done + first.length)];
  for (const images of runs) {
    const before = images[0]!; // a run has images
    const isBegun = images === first;
    await note?.({ done: before, tokens: isBegun ? begun : [] });
    const onLine = async ({ line, tokens }: LineProgress) => {
      if (line === 1) opened.compiling.stop();
      const known = (await tokens()).map((image) => [...image]);
      if (!isBegun || known[0]!.length > begun[0]!.length) await note?.({ done: before, tokens: known });
    };
    const result = await measuredRun(
      opened.model,
      {
        label: runs.length === 1 ? 'drawing' : `drawing ${before}-${images.at(-1)}`,
        draw: (model, own) => generateAndRecover(model, { ...own, reload: (lost) => opened.reload(lost) }),
      },
      { ...optionsOf(options, images), ...(isBegun && { tokens: begun }), onLine },
    ).catch(async (error) => {
      throw await withWhatFits(error, opened.model, images.length, options);
    });
    for (const [i, image] of result.images.entries()) {
      const file = files[images[i]!]!; // as many
      await writeWhole(file, encodePng(image, recipeFor(opened.model, options, images[i]!, all.loaded)));
      console.log(file);
    }
    await note?.({ done: before + images.length, tokens: [] });
    process.stderr.write(
      `${(result.elapsedMs / 1000).toFixed(1)} s, ${result.tokensPerSecond.toFixed(1)} tokens/s, KV ${megabytes(result.kvBytes)}, ${result.dispatchesPerToken.toFixed(1)} dispatches/token\n`,
    );
  }
}
