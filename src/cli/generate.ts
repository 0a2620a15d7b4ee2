import { basename, extname } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { fileSource } from '#source';
import { planCache } from '../cache/policy.ts';
import type { ModelDefinition, WeightDtype } from '../models/family.ts';
import type { ImageModel } from '../models/image-model.ts';
import type { ClassPrompt } from '../models/llamagen/condition.ts';
import { DTYPE, type LoadModelOptions, loadModel } from '../models/load-model.ts';
import { EMBEDDED_MODEL, EMBEDDED_TEXT_MODEL, modelDefinition, modelName, type Prompt } from '../models/registry.ts';
import type { ImageSize } from '../models/text/prompt.ts';
import { encodePng, readRecipe } from '../png.ts';
import type { Recipe } from '../recipe.ts';
import { recipeFor } from '../recipe-for.ts';
import { resolveSampling } from '../sampler.ts';
import type { Driver } from '../tensor/device/adapter.ts';
import { OptionError } from '../tensor/errors.ts';
import { checkValue } from '../tensor/options.ts';
import { Runtime } from '../tensor/runtime.ts';
import { expectWritable, writeWhole } from '../tensor/source/write-node.ts';
import { VERSION } from '../version.ts';
import { classIds } from './classes.ts';
import { interruptible } from './exit.ts';
import {
  addCacheOptions,
  type CacheFlags,
  cacheOptions,
  defined,
  hubEnvironment,
  megabytes,
  number,
} from './options.ts';
import { progressBar } from './progress.ts';
import { measuredRun } from './run.ts';

interface GenerateFlags extends CacheFlags {
  readonly model?: string;
  readonly classes?: string;
  readonly prompt?: readonly string[];
  readonly size?: Required<ImageSize>;
  readonly checkpoint?: string;
  readonly vq?: string;
  readonly textEncoder?: string;
  readonly tokenizer?: string;
  readonly tokenizerConfig?: string;
  readonly vqPreset?: string;
  readonly dtype?: WeightDtype;
  readonly seed?: number;
  readonly firstImage?: number;
  readonly guidance?: number;
  readonly cfgInterval?: number;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly driver: Driver;
  readonly out: string;
  readonly from?: string;
}

export function generateCommand(): Command {
  const command = new Command('generate')
    .description('draw images, one for each class or prompt, and write them as PNG files')
    .option('--classes <list>', 'classes by number, or for the emoji model by name, separated by commas')
    .option('--prompt <text...>', 'what to draw, for models that draw from text: one image for each text')
    .option('--model <name>', 'preset; rasterline plan --all lists them (default: emoji, or emoji-text with --prompt)')
    .option('--size <width x height>', 'in pixels, such as 1024x576, for models that draw several sizes', imageSize)
    .option('--checkpoint <file>', 'checkpoint of the transformer: path, folder, URL or hf:owner/name@revision')
    .option('--vq <file>', 'checkpoint of the VQ tokenizer')
    .option('--text-encoder <file>', 'checkpoint of the T5 encoder, for LlamaGen from text')
    .option('--tokenizer <file>', 'tokenizer.json of the model that reads the prompt')
    .option('--tokenizer-config <file>', 'the tokenizer_config.json beside it, where there is one')
    .option('--vq-preset <name>', 'vq-ds16 or vq-ds8')
    .option('--dtype <type>', 'storage of weights: f16, f32, int8 or int4 (default: f16)')
    .option('--seed <number>', 'the same seed on the same driver draws the same images (default: 0)', number)
    .option('--first-image <number>', 'identity of the first image, to draw one of a batch alone (default: 0)', number)
    .option('--guidance <scale>', 'classifier-free guidance; 1 or less is off', number)
    .option('--cfg-interval <step>', 'guidance until this step; -1 is always', number)
    .option('--temperature <number>', '0 takes the most likely token', number)
    .option('--top-k <number>', 'draw among the k most likely tokens; 0 is off', number)
    .option('--top-p <number>', 'draw among the likeliest tokens that reach this mass; 1 is off', number)
    .option('--driver <name>', 'auto, gpu, lavapipe, swiftshader or null', 'auto')
    .option('--from <picture>', 'draw a PNG of rasterline again; other options change what it was drawn with')
    .option('--out <file>', 'PNG to write; several images get -0, -1, ... before the suffix', 'out.png')
    .addHelpText(
      'after',
      `
Examples:
  $ rasterline generate --classes "watermelon,cherries" --out emoji.png
  $ rasterline generate --prompt "hot pepper" "a bear's face"
  $ rasterline generate --classes pizza --budget 4 --seed 7
  $ rasterline generate --from out.png --budget 8 --out again.png
  $ rasterline generate --model lumina-mgpt-768 --checkpoint hf:Alpha-VLLM/Lumina-mGPT-7B-768 --vq vqgan.ckpt --tokenizer tokenizer.json --prompt "a lighthouse" --size 1024x576 --budget 8 --dtype int4
  $ rasterline generate --model llamagen-xl-384 --checkpoint c2i_XL_384.pt --vq vq_ds16_c2i.pt --classes 207,360 --budget 6`,
    );
  return addCacheOptions(command).action(run);
}

async function run(flags: GenerateFlags): Promise<void> {
  const { driver, out, from } = flags;
  expectPng(out);
  const recipe = from === undefined ? undefined : await recipeOf(from);
  const name = flags.model ?? recipe?.model ?? (flags.prompt ? EMBEDDED_TEXT_MODEL : EMBEDDED_MODEL);
  const { guidance: guidanceScale, cfgInterval, temperature, topK, topP, seed, firstImage } = flags;
  const sampling = {
    ...recipe?.sampling,
    ...defined({ guidanceScale, cfgInterval, temperature, topK, topP, seed, firstImage }),
  };
  const cache = { ...recipe?.cache, ...cacheOptions(flags) };
  const { dtype, checkpoint, vq, textEncoder, tokenizer, tokenizerConfig, vqPreset } = flags;
  const loaded: Readonly<Record<string, string>> = {
    ...recipe?.loaded,
    ...defined({ dtype, checkpoint, vq, textEncoder, tokenizer, tokenizerConfig, vqPreset }),
  };
  // everything that can be wrong with the options is said before a device is opened or a byte is loaded
  const definition = modelDefinition(name, loaded);
  if (loaded['dtype'] !== undefined) checkValue('dtype', DTYPE, loaded['dtype']);
  resolveSampling(sampling, {});
  planCache(cache, definition.grid);
  const isNew = !recipe || flags.classes !== undefined || flags.prompt !== undefined;
  const prompt = isNew ? await promptOf(definition, flags) : ({ ...recipe.prompt, ...flags.size } as Prompt);
  if ('classes' in prompt) expectClasses(prompt.classes, definition.classes);
  const count = Object.values(prompt).find(Array.isArray)?.length ?? 1;
  const files = Array.from({ length: count }, (_, image) =>
    count === 1 ? out : `${out.slice(0, out.length - extname(out).length)}-${image}${extname(out)}`,
  );
  for (const file of files) await expectWritable(file);

  const { signal, release } = interruptible();
  try {
    const compiling = progressBar('compiling');
    using runtime = await Runtime.open({
      driver,
      onCompile: ({ compiled, asked, kernel }) => compiling.update(compiled, asked, kernel),
    });
    process.stderr.write(`${runtime.description}\n`);
    using model = await load(runtime, name, loaded, signal);
    const options = { prompt, cache, signal, ...sampling };
    const result = await measuredRun(model, 'drawing', options, () => compiling.stop());
    for (const [i, image] of result.images.entries())
      await writeWhole(files[i]!, encodePng(image, recipeFor(model, options, i, portable(loaded))));
    for (const file of files) console.log(file);
    process.stderr.write(
      `${(result.elapsedMs / 1000).toFixed(1)} s, ${result.tokensPerSecond.toFixed(1)} tokens/s, KV ${megabytes(result.kvBytes)}, ${result.dispatchesPerToken.toFixed(1)} dispatches/token\n`,
    );
  } finally {
    release();
  }
}

async function load(
  runtime: Runtime,
  name: string,
  loaded: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<ImageModel<Prompt>> {
  const [loading, download] = [progressBar('loading'), progressBar('download')];
  return await loadModel(runtime, modelName(name), {
    ...(loaded as LoadModelOptions),
    ...hubEnvironment(),
    onProgress: ({ loadedBytes, totalBytes }) => loading.update(loadedBytes, totalBytes),
    onDownload: ({ loadedBytes, totalBytes }) => download.update(loadedBytes, totalBytes),
    signal,
  }).finally(() => {
    loading.stop();
    download.stop();
  });
}

/** Throws OptionError for a file that says it is no PNG: nothing else is written. */
function expectPng(out: string): void {
  if (extname(out).toLowerCase() === '.png') return;
  throw new OptionError(`out: expected a file that ends in .png, got ${out}; pictures are written as PNG alone`);
}

async function recipeOf(file: string): Promise<Recipe> {
  const source = await fileSource(file);
  try {
    const recipe = readRecipe(await source.read(0, source.size), file);
    if (recipe.version !== VERSION)
      process.stderr.write(`${file} was drawn by rasterline ${recipe.version}; ${VERSION} may draw it otherwise\n`);
    return recipe;
  } finally {
    await source.close();
  }
}

/** How a model was loaded, without addresses of this machine or of a server: names of a hub stay, of a file its last part. */
function portable(loaded: Readonly<Record<string, string>>): Record<string, string> {
  const short = (text: string) => (text.startsWith('hf:') ? text : basename(text));
  return Object.fromEntries(Object.entries(loaded).map(([name, text]) => [name, short(text)]));
}

async function promptOf(
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
  const wanted = classes.split(',').map((text) => text.trim());
  return { classes: await classIds(definition.name, wanted.filter(Boolean)) };
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
