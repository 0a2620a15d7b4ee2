import { basename, extname } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { planCache } from '../cache/policy.ts';
import { classIds } from '../class-names.ts';
import { type Journal, parseJournal } from '../journal.ts';
import type { ModelDefinition } from '../models/family.ts';
import type { ClassPrompt } from '../models/llamagen/condition.ts';
import { DTYPE } from '../models/load-model.ts';
import { checkModel, EMBEDDED_MODEL, EMBEDDED_TEXT_MODEL, modelDefinition, type Prompt } from '../models/registry.ts';
import type { ImageSize } from '../models/text/prompt.ts';
import { readRecipe } from '../png.ts';
import { imagesOf } from '../prompt-list.ts';
import type { Recipe } from '../recipe.ts';
import { resolveSampling } from '../sampler.ts';
import { OptionError } from '../tensor/errors.ts';
import { checkValue } from '../tensor/options.ts';
import { expectWritable, writeWhole } from '../tensor/source/write-node.ts';
import { VERSION } from '../version.ts';
import { type AtOnceFlags, addAtOnceOptions, imagesAtOnce } from './at-once.ts';
import { drawAll } from './draw-all.ts';
import { interruptible } from './exit.ts';
import {
  addModelOptions,
  addSamplingOptions,
  loadedAs,
  type ModelFlags,
  type SamplingFlags,
  samplingOf,
} from './model-options.ts';
import { namedModel } from './named-model.ts';
import { OpenedModel } from './opened-model.ts';
import { addCacheOptions, type CacheFlags, cacheOptions, commaSeparated, defined, number } from './options.ts';
import { readWhole } from './read-whole.ts';

interface GenerateFlags extends CacheFlags, ModelFlags, SamplingFlags, AtOnceFlags {
  readonly model?: string;
  readonly classes?: string;
  readonly prompt?: readonly string[];
  readonly size?: Required<ImageSize>;
  readonly firstImage?: number;
  readonly window?: number;
  readonly speculate?: number;
  readonly out?: string;
  readonly from?: string;
  readonly journal?: string;
  readonly resume?: string;
}

export function generateCommand(): Command {
  const command = new Command('generate')
    .description('draw images, one for each class or prompt, and write them as PNG files')
    .option('--classes <list>', 'classes by number, or for the emoji model by name, separated by commas')
    .option('--prompt <text...>', 'what to draw, for models that draw from text: one image for each text')
    .option('--model <name>', 'preset (rasterline plan --all lists them), or a JSON file of a family and its config')
    .option('--size <width x height>', 'in pixels, such as 1024x576, for models that draw several sizes', imageSize)
    .option('--first-image <number>', 'identity of the first image, to draw one of a batch alone (default: 0)', number)
    .option('--window <columns>', 'draw lines in parallel, each so many columns ahead of the next', number)
    .option(
      '--speculate <tokens>',
      'draw the same in fewer steps, each of so many tokens: drafts, of which the right stay',
      number,
    )
    .option('--journal <file>', 'keep settings and tokens there, line by line, so that the run can be gone on with')
    .option('--resume <file>', 'go on with a run from its journal')
    .option('--from <picture>', 'draw a PNG of rasterline again; other options change what it was drawn with')
    .option('--out <file>', 'PNG to write; several images get -0, -1, ... before the suffix (default: out.png)')
    .addHelpText(
      'after',
      `
Examples:
  $ rasterline generate --classes "watermelon,cherries" --out emoji.png
  $ rasterline generate --prompt "hot pepper" "a bear's face"
  $ rasterline generate --classes pizza --budget 4 --seed 7
  $ rasterline generate --from out.png --budget 8 --out again.png
  $ rasterline generate --classes 0,1,2,3 --journal run.json
  $ rasterline generate --resume run.json
  $ rasterline generate --model lumina-mgpt-768 --checkpoint hf:Alpha-VLLM/Lumina-mGPT-7B-768 --vq vqgan.ckpt --tokenizer tokenizer.json --prompt "a lighthouse" --size 1024x576 --budget 8 --dtype int4
  $ rasterline generate --model llamagen-xl-384 --checkpoint c2i_XL_384.pt --vq vq_ds16_c2i.pt --classes 207,360 --budget 6`,
    );
  for (const add of [addModelOptions, addSamplingOptions, addCacheOptions, addAtOnceOptions]) add(command);
  return command.action(run);
}

async function run(flags: GenerateFlags): Promise<void> {
  const resumed = flags.resume === undefined ? undefined : await journalOf(flags.resume, flags);
  const { driver, out = resumed?.out ?? 'out.png', from } = flags;
  expectPng(out);
  const before = from === undefined ? resumed : await recipeOf(from);
  const asked = flags.model === undefined ? undefined : await namedModel(flags.model);
  const name = asked ?? (before && checkModel(before.model)) ?? (flags.prompt ? EMBEDDED_TEXT_MODEL : EMBEDDED_MODEL);
  const { firstImage } = flags;
  const sampling = { ...before?.sampling, ...samplingOf(flags), ...defined({ firstImage }) };
  const cache = { ...before?.cache, ...cacheOptions(flags) };
  const parallel = flags.window === undefined ? before?.parallel : { window: flags.window };
  const speculate = flags.speculate === undefined ? undefined : { tokens: flags.speculate };
  const loaded = { ...before?.loaded, ...loadedAs(flags) };
  // everything that can be wrong with the options is said before a device is opened or a byte is loaded
  const definition = modelDefinition(name, loaded);
  if (loaded.dtype !== undefined) checkValue('dtype', DTYPE, loaded.dtype);
  resolveSampling(sampling, {});
  planCache(cache, definition.grid, { parallel, speculate });
  const isNew = !before || flags.classes !== undefined || flags.prompt !== undefined;
  const prompt = isNew ? await promptFor(definition, flags) : ({ ...before.prompt, ...flags.size } as Prompt);
  if ('classes' in prompt) expectClasses(prompt.classes, definition.classes);
  const journal = flags.journal ?? flags.resume;
  const files = filesOf(out, imagesOf(prompt));
  for (const file of journal === undefined ? files : [...files, journal]) await expectWritable(file);

  const { signal, release } = interruptible();
  try {
    using opened = await OpenedModel.open({ driver, name, loaded, signal });
    const { kind } = opened.model.runtime;
    if (resumed && resumed.driver !== kind)
      process.stderr.write(
        `begun on ${resumed.driver}, going on with ${kind}: what is drawn now may be another image\n`,
      );
    const inParallel = parallel && { parallel };
    const settings = {
      version: VERSION,
      model: name,
      prompt,
      sampling,
      cache,
      ...inParallel,
      loaded,
      driver: kind,
      out,
    };
    const atOnce = await imagesAtOnce(opened.model.runtime, files.length, { flags, name, cache, loaded });
    await drawAll(opened, {
      options: { prompt, cache, signal, ...inParallel, ...(speculate && { speculate }), ...sampling },
      ...{ files, atOnce, resumed, loaded: portable(loaded) },
      ...(journal !== undefined && {
        note: (done) => writeWhole(journal, Buffer.from(JSON.stringify({ ...settings, ...done }))),
      }),
    });
  } finally {
    release();
  }
}

/** Throws OptionError for a file that says it is no PNG: nothing else is written. */
function expectPng(out: string): void {
  if (extname(out).toLowerCase() === '.png') return;
  throw new OptionError(`out: expected a file that ends in .png, got ${out}; pictures are written as PNG alone`);
}

async function recipeOf(file: string): Promise<Recipe> {
  const recipe = readRecipe(await readWhole(file), file);
  if (recipe.version !== VERSION)
    process.stderr.write(`${file} was drawn by rasterline ${recipe.version}; ${VERSION} may draw it otherwise\n`);
  return recipe;
}

/** Throws OptionError for options that would make it another run. */
async function journalOf(file: string, flags: GenerateFlags): Promise<Journal> {
  const { resume, journal, driver, atOnce, memory, speculate, ...others } = flags;
  const [other] = Object.keys(defined(others));
  if (other !== undefined || journal !== undefined)
    throw new OptionError(
      `resume: expected no other option that says what is drawn, got ${other ?? 'journal'}; the journal says it all`,
    );
  return parseJournal(file, new TextDecoder().decode(await readWhole(file)));
}

function filesOf(out: string, images: number): string[] {
  const stem = out.slice(0, out.length - extname(out).length);
  return Array.from({ length: images }, (_, image) => (images === 1 ? out : `${stem}-${image}${extname(out)}`));
}

/** How a model was loaded, without addresses of this machine or of a server: names of a hub stay, of a file its last part. */
function portable(loaded: Readonly<Record<string, string>>): Record<string, string> {
  const short = (text: string) => (text.startsWith('hf:') ? text : basename(text));
  return Object.fromEntries(Object.entries(loaded).map(([name, text]) => [name, short(text)]));
}

async function promptFor(
  definition: ModelDefinition<Prompt>,
  { classes, prompt, size }: GenerateFlags,
): Promise<ClassPrompt | ({ readonly prompts: readonly string[] } & ImageSize)> {
  if (definition.classes === undefined) {
    if (prompt === undefined || classes !== undefined)
      throw new OptionError(`prompt: expected --prompt <text...> for ${definition.name}, which draws from text`);
    return { prompts: prompt, ...size };
  }
  if (size !== undefined) throw new OptionError(`size: expected none for ${definition.name}, which draws one size`);
  if (classes === undefined || prompt !== undefined)
    throw new OptionError(`classes: expected --classes <list> for ${definition.name}, which draws classes`);
  return { classes: await classIds(definition.name, commaSeparated(classes)) };
}

/** As the model will say it, which is not loaded yet. Throws OptionError. */
function expectClasses(ids: readonly number[], classes = 0): void {
  const wrong = ids.findIndex((id) => !Number.isInteger(id) || id < 0 || id >= classes);
  if (wrong >= 0)
    throw new OptionError(`classes[${wrong}]: expected a whole number from 0 to ${classes - 1}, got ${ids[wrong]}`);
}

/** `1024x576`, for commander; whether the model draws it is the library's to say. */
function imageSize(text: string): Required<ImageSize> {
  const [, width, height] = /^(\d{1,5})x(\d{1,5})$/.exec(text) ?? [];
  if (!width || !height) throw new InvalidArgumentError(`expected a size such as 768x768, got '${text}'`);
  return { width: Number(width), height: Number(height) };
}
