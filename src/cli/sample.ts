import { readFile } from 'node:fs/promises';
import { Command } from 'commander';
import { planCache } from '../cache/policy.ts';
import { classIds } from '../class-names.ts';
import type { ModelDefinition } from '../models/family.ts';
import { EMBEDDED_MODEL, EMBEDDED_TEXT_MODEL, modelDefinition, type Prompt } from '../models/registry.ts';
import { imagesOf, promptOf } from '../prompt-list.ts';
import { runsOf } from '../runs.ts';
import { drawRun } from '../sample/draw-run.ts';
import { writeNpz } from '../sample/npz.ts';
import { SampleFolder } from '../sample/sample-folder.ts';
import { resolveSampling } from '../sampler.ts';
import { whole } from '../tensor/checks.ts';
import type { DriverKind } from '../tensor/device/adapter.ts';
import { OptionError } from '../tensor/errors.ts';
import { checkValue } from '../tensor/options.ts';
import { VERSION } from '../version.ts';
import { type AtOnceFlags, addAtOnceOptions, imagesAtOnce } from './at-once.ts';
import { drawByWorkers, expectQueueFlags } from './draw-by-workers.ts';
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
import { addQueueOptions, type QueueFlags } from './queue.ts';

interface SampleFlags extends CacheFlags, ModelFlags, SamplingFlags, AtOnceFlags, Partial<QueueFlags> {
  readonly model?: string;
  readonly images: number;
  readonly firstImage: number;
  readonly classes?: string;
  readonly prompts?: string;
  readonly out: string;
  readonly results?: 'folder' | 'queue';
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
    .option('--results <where>', 'with --queue: folder, which all workers see, or queue (default: folder)')
    .addHelpText(
      'after',
      `
Image i is drawn from class or text i, in turn, with the seed and the identity i, and named by it.
With --queue nothing is drawn here: any number of "rasterline work" draw, whose driver is that of --driver (default: gpu).

Examples:
  $ rasterline sample --images 1000 --out samples
  $ rasterline sample --images 50000 --out samples.npz --budget 4 --seed 1
  $ rasterline sample --prompts captions.txt --images 100 --out samples
  $ rasterline sample --queue redis://127.0.0.1:6379 --images 50000 --out samples --results queue`,
    );
  for (const add of [addModelOptions, addSamplingOptions, addCacheOptions, addAtOnceOptions, addQueueOptions])
    add(command);
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
  expectQueueFlags(flags);
  const prompt = await roundOf(definition, flags);
  const round = imagesOf(prompt); // image i has entry i of the round, in turn
  const promptsOf = (identities: readonly number[]) =>
    promptOf(
      prompt,
      identities.map((identity) => identity % round),
    );
  const isNpz = out.endsWith('.npz');
  const open = (kind: DriverKind) =>
    SampleFolder.open(isNpz ? `${out}.images` : out, {
      ...{ version: VERSION, model: name, prompt, sampling, cache, loaded, driver: kind },
    });
  const { signal, release } = interruptible();
  const bar = progressBar('sampling');
  try {
    let folder: SampleFolder;
    let missing: readonly number[];
    if (flags.queue !== undefined) {
      const kind = driver === 'auto' ? 'gpu' : driver;
      folder = await open(kind);
      missing = await folder.missing(images, firstImage);
      await drawByWorkers(folder, missing, {
        ...{ ...flags, queue: flags.queue, promptsOf, sampling, cache, signal },
        kind: { version: VERSION, model: name, loaded, driver: kind },
        onImage: (drawn) => bar.update(images - missing.length + drawn, images),
      });
    } else {
      using opened = await OpenedModel.open({ driver, name, loaded, signal });
      const { runtime } = opened.model;
      folder = await open(runtime.kind);
      missing = await folder.missing(images, firstImage);
      const most = Math.min(images, flags.atOnce ?? AT_ONCE);
      const atOnce = await imagesAtOnce(runtime, most, { flags, name, cache, loaded });
      for (const places of runsOf(missing.length, atOnce)) {
        const identities = places.map((place) => missing[place]!);
        bar.update(images - missing.length + places[0]!, images);
        const pngs = await drawRun(opened, { prompt: promptsOf(identities), identities, sampling, cache, signal });
        opened.compiling.stop();
        for (const [i, png] of pngs.entries()) await folder.write(identities[i]!, png);
      }
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
