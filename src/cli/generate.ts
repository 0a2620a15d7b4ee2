import { extname } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { planCache } from '../cache/policy.ts';
import type { GeneratedImage } from '../image.ts';
import type { ClassPrompt } from '../models/llamagen/condition.ts';
import type { Preset, WeightDtype } from '../models/preset.ts';
import { EMBEDDED_MODEL, EMBEDDED_TEXT_MODEL, loadModel, modelPreset } from '../models/registry.ts';
import type { ImageSize } from '../models/text/prompt.ts';
import { encodePng } from '../png.ts';
import { resolveSampling } from '../sampler.ts';
import type { Driver } from '../tensor/device/adapter.ts';
import { OptionError } from '../tensor/errors.ts';
import { Runtime } from '../tensor/runtime.ts';
import type { DownloadProgress } from '../tensor/source/file-cache.ts';
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
import { expectWritable, writeWhole } from './write.ts';

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
  readonly dtype: WeightDtype;
  readonly seed?: number;
  readonly firstImage?: number;
  readonly guidance?: number;
  readonly cfgInterval?: number;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly driver: Driver;
  readonly out: string;
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
    .option('--dtype <type>', 'storage of weights: f16, f32, int8 or int4', 'f16')
    .option('--seed <number>', 'the same seed on the same driver draws the same images (default: 0)', number)
    .option('--first-image <number>', 'identity of the first image, to draw one of a batch alone (default: 0)', number)
    .option('--guidance <scale>', 'classifier-free guidance; 1 or less is off', number)
    .option('--cfg-interval <step>', 'guidance until this step; -1 is always', number)
    .option('--temperature <number>', '0 takes the most likely token', number)
    .option('--top-k <number>', 'draw among the k most likely tokens; 0 is off', number)
    .option('--top-p <number>', 'draw among the likeliest tokens that reach this mass; 1 is off', number)
    .option('--driver <name>', 'auto, gpu, lavapipe, swiftshader or null', 'auto')
    .option('--out <file>', 'PNG to write; several images get -0, -1, ... before the suffix', 'out.png')
    .addHelpText(
      'after',
      `
Examples:
  $ rasterline generate --classes "pizza,tiger face" --out emoji.png
  $ rasterline generate --prompt "hot pepper" "a bear's face"
  $ rasterline generate --classes pizza --policy linear --budget 4 --seed 7
  $ rasterline generate --model lumina-mgpt-768 --checkpoint hf:Alpha-VLLM/Lumina-mGPT-7B-768 --vq vqgan.ckpt --tokenizer tokenizer.json --prompt "a lighthouse" --size 1024x576 --budget 8 --dtype int4
  $ rasterline generate --model llamagen-xl-384 --checkpoint c2i_XL_384.pt --vq vq_ds16_c2i.pt --classes 207,360 --budget 6`,
    );
  return addCacheOptions(command).action(run);
}

async function run(flags: GenerateFlags): Promise<void> {
  const { driver, dtype, out, model: name = flags.prompt ? EMBEDDED_TEXT_MODEL : EMBEDDED_MODEL } = flags;
  const sampling = defined({
    seed: flags.seed,
    firstImage: flags.firstImage,
    guidanceScale: flags.guidance,
    cfgInterval: flags.cfgInterval,
    temperature: flags.temperature,
    topK: flags.topK,
    topP: flags.topP,
  });
  const cache = cacheOptions(flags);
  // everything that can be wrong with the options is said before a device is opened or a byte is loaded
  const preset = modelPreset(name, defined({ vqPreset: flags.vqPreset }));
  resolveSampling(sampling, {});
  planCache(cache, preset.grid.lines);
  const prompt = await promptOf(preset, flags);
  const count = 'classes' in prompt ? prompt.classes.length : prompt.prompts.length;
  const files = Array.from({ length: count }, (_, image) =>
    count === 1 ? out : `${out.slice(0, out.length - extname(out).length)}-${image}${extname(out)}`,
  );
  for (const file of files) await expectWritable(file);

  const { signal, release } = interruptible();
  try {
    using runtime = await Runtime.open({ driver });
    process.stderr.write(`${runtime.description}\n`);
    const bar = progressBar('loading');
    const onProgress = ({ loadedBytes, totalBytes }: { loadedBytes: number; totalBytes: number }) =>
      bar.update(loadedBytes, totalBytes);
    const download = progressBar('download');
    const onDownload = ({ loadedBytes, totalBytes }: DownloadProgress) => download.update(loadedBytes, totalBytes);
    const { checkpoint, vq, textEncoder, tokenizer, tokenizerConfig, vqPreset } = flags;
    const sources = defined({ checkpoint, vq, textEncoder, tokenizer, tokenizerConfig, vqPreset });
    using model = await loadModel(runtime, name, {
      ...sources,
      ...hubEnvironment(),
      dtype,
      onProgress,
      onDownload,
      signal,
    }).finally(() => {
      bar.stop();
      download.stop();
    });
    const result = await measuredRun(model, 'drawing', { prompt, cache, signal, ...sampling });
    await writeAll(files, result.images);
    for (const file of files) console.log(file);
    process.stderr.write(
      `${(result.elapsedMs / 1000).toFixed(1)} s, ${result.tokensPerSecond.toFixed(1)} tokens/s, KV ${megabytes(result.kvBytes)}, ${result.dispatchesPerToken.toFixed(1)} dispatches/token\n`,
    );
  } finally {
    release();
  }
}

async function promptOf(
  preset: Preset,
  { classes, prompt, size }: GenerateFlags,
): Promise<ClassPrompt | ({ readonly prompts: readonly string[] } & ImageSize)> {
  if (preset.classes === undefined) {
    if (prompt === undefined || classes !== undefined)
      throw new OptionError(`prompt: expected --prompt <text...> for ${preset.name}, which draws from text`);
    return { prompts: prompt, ...size };
  }
  if (size !== undefined) throw new OptionError(`size: expected none for ${preset.name}, which draws one size`);
  if (classes === undefined || prompt !== undefined)
    throw new OptionError(`classes: expected --classes <list> for ${preset.name}, which draws classes`);
  const wanted = classes.split(',').map((text) => text.trim());
  return { classes: await classIds(preset.name, wanted.filter(Boolean)) };
}

/** `1024x576`, for commander; whether the model draws it is the library's to say. */
function imageSize(text: string): Required<ImageSize> {
  const [, width, height] = /^(\d{1,5})x(\d{1,5})$/.exec(text) ?? [];
  if (!width || !height) throw new InvalidArgumentError(`expected a size such as 768x768, got '${text}'`);
  return { width: Number(width), height: Number(height) };
}

async function writeAll(files: readonly string[], images: readonly GeneratedImage[]): Promise<void> {
  for (const [i, image] of images.entries()) await writeWhole(files[i]!, encodePng(image));
}
