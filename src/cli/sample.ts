import { readFile } from 'node:fs/promises';
import { Command } from 'commander';
import { planCache } from '../cache/policy.ts';
import { classIds } from '../class-names.ts';
import type { ModelDefinition } from '../models/family.ts';
import { EMBEDDED_MODEL, EMBEDDED_TEXT_MODEL, modelDefinition, type Prompt } from '../models/registry.ts';
import { encodePng } from '../png.ts';
import { imagesOf, promptOf } from '../prompt-list.ts';
import { recipeFor } from '../recipe-for.ts';
import { generateAndRecover } from '../recover.ts';
import { runsOf, withWhatFits } from '../runs.ts';
import { writeNpz } from '../sample/npz.ts';
import { SampleFolder } from '../sample/sample-folder.ts';
import { resolveSampling } from '../sampler.ts';
import { whole } from '../tensor/checks.ts';
import { OptionError } from '../tensor/errors.ts';
import { checkValue } from '../tensor/options.ts';
import { VERSION } from '../version.ts';
import { type AtOnceFlags, addAtOnceOptions, imagesAtOnce } from './at-once.ts';
import { interruptible } from './exit.ts';
import {
  addModelOptions,
  addSamplingOptions,
  loadedAs,
  type ModelFlags,
  type SamplingFlags,
  samplingOf,
} from './model-options.ts';
import { OpenedModel } from './opened-model.ts';
import { addCacheOptions, type CacheFlags, cacheOptions, commaSeparated, number } from './options.ts';
import { progressBar } from './progress.ts';

interface SampleFlags extends CacheFlags, ModelFlags, SamplingFlags, AtOnceFlags {
  readonly model?: string;
  readonly images: number;
  readonly firstImage: number;
  readonly classes?: string;
  readonly prompts?: string;
  readonly out: string;
}

/** Images of a run where no one says it, and memory holds them. */
const AT_ONCE = 16;

export function sampleCommand(): Command {
  const command = new Command('sample')
    .description(
      'draw many images for an evaluation, into a folder of PNG or an .npz; what is there is not drawn again',
    )
    .requiredOption('--images <count>', 'how many in all', number)
    .requiredOption('--out <place>', 'a folder, or a file that ends in .npz, beside which its folder is kept')
    .option('--first-image <number>', 'identity of the first, so that several machines draw a part each', number, 0)
    .option('--model <name>', 'preset (default: emoji, or emoji-text with --prompts)')
    .option('--classes <list>', 'classes in turn, by number, or for the emoji model by name (default: all)')
    .option('--prompts <file>', 'texts in turn, one a line')
    .addHelpText(
      'after',
      `
Image i is drawn from class or text i, in turn, with the seed and the identity i, and named by it.

Examples:
  $ rasterline sample --images 1000 --out samples
  $ rasterline sample --images 50000 --out samples.npz --budget 4 --seed 1
  $ rasterline sample --prompts captions.txt --images 100 --out samples`,
    );
  for (const add of [addModelOptions, addSamplingOptions, addCacheOptions, addAtOnceOptions]) add(command);
  return command.action(run);
}

async function run(flags: SampleFlags): Promise<void> {
  const { driver, out, images, firstImage } = flags;
  const name = flags.model ?? (flags.prompts === undefined ? EMBEDDED_MODEL : EMBEDDED_TEXT_MODEL);
  const [cache, loaded, sampling] = [cacheOptions(flags), loadedAs(flags), samplingOf(flags)];
  const definition = modelDefinition(name, loaded);
  checkValue('images', whole(1, 2 ** 24), images);
  checkValue('firstImage', whole(0, 2 ** 30), firstImage);
  resolveSampling(sampling, {});
  planCache(cache, definition.grid);
  const prompt = await roundOf(definition, flags);
  const round = imagesOf(prompt); // image i has entry i of the round, in turn
  const { signal, release } = interruptible();
  const bar = progressBar('sampling');
  try {
    using opened = await OpenedModel.open({ driver, name, loaded, signal });
    const { runtime } = opened.model;
    const isNpz = out.endsWith('.npz');
    const settings = { version: VERSION, model: name, prompt, sampling, cache, loaded, driver: runtime.kind };
    const folder = await SampleFolder.open(isNpz ? `${out}.images` : out, settings);
    const missing = await folder.missing(images, firstImage);
    const atOnce = await imagesAtOnce(runtime, Math.min(images, flags.atOnce ?? AT_ONCE), {
      flags,
      name,
      cache,
      loaded,
    });
    for (const places of runsOf(missing.length, atOnce)) {
      const identities = places.map((place) => missing[place]!);
      bar.update(images - missing.length + places[0]!, images);
      const options = {
        prompt: promptOf(
          prompt,
          identities.map((identity) => identity % round),
        ),
        cache,
        ...sampling,
        firstImage: identities,
      };
      const reload = opened.reload.bind(opened);
      const drawn = await generateAndRecover(opened.model, { ...options, signal, reload }).catch(async (error) =>
        Promise.reject(await withWhatFits(error, opened.model, places.length, options)),
      );
      opened.compiling.stop();
      for (const [i, image] of drawn.entries())
        await folder.write(identities[i]!, encodePng(image, recipeFor(opened.model, options, i)));
    }
    if (isNpz)
      await writeNpz(
        out,
        Array.from({ length: images }, (_, i) => folder.file(firstImage + i)),
      );
    process.stderr.write(`${missing.length} drawn, ${images - missing.length} were there\n`);
    console.log(out);
  } finally {
    bar.stop();
    release();
  }
}

/** Of one round. */
async function roundOf(
  definition: ModelDefinition<Prompt>,
  { classes, prompts }: SampleFlags,
): Promise<{ readonly classes: readonly number[] } | { readonly prompts: readonly string[] }> {
  const { name, classes: count } = definition;
  if ((count === undefined) !== (prompts !== undefined))
    throw new OptionError(
      `prompts: expected ${count === undefined ? 'a file for' : 'none for'} ${name}, got ${prompts ?? 'none'}`,
    );
  if (prompts !== undefined) {
    const text = await readFile(prompts, 'utf8').catch((cause) => {
      throw new OptionError(`prompts: expected a file of texts, got ${prompts}: ${cause.message}`, { cause });
    });
    const lines = text.split(/\r?\n/).filter((line) => line.trim() !== '');
    if (lines.length > 0) return { prompts: lines };
    throw new OptionError(`prompts: expected texts, one a line, got none in ${prompts}`);
  }
  if (classes === undefined) return { classes: Array.from({ length: count ?? 0 }, (_, id) => id) };
  const ids = await classIds(name, commaSeparated(classes));
  const wrong = ids.find((id) => !(Number.isInteger(id) && id >= 0 && id < (count ?? 0)));
  if (wrong === undefined && ids.length > 0) return { classes: ids };
  throw new OptionError(`classes: expected whole numbers from 0 to ${(count ?? 0) - 1}, got ${wrong ?? 'none'}`);
}
