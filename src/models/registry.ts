/** From a model's name and its checkpoint files to a model on the GPU. */

import { packagedSource } from '#source';
import { FILES_OPTIONS, type FilesOptions, type OpenedFiles, openFiles } from '../tensor/checkpoint/open-files.ts';
import { OptionError } from '../tensor/errors.ts';
import { pickOptions } from '../tensor/options.ts';
import type { Runtime } from '../tensor/runtime.ts';
import { type FileSet, openFirst } from '../tensor/source/file-set.ts';
import { type CheckpointSource, OPEN_SOURCE } from '../tensor/source/open-source.ts';
import { CHAMELEON_PRESETS } from './chameleon/config.ts';
import { chameleonPreset } from './chameleon/preset.ts';
import type { ImageModel } from './image-model.ts';
import { JANUS_PRESETS } from './janus/config.ts';
import { janusPreset } from './janus/preset.ts';
import { LLAMAGEN_PRESETS } from './llamagen/config.ts';
import { llamaGenPreset } from './llamagen/preset.ts';
import type { ModelOptions, Part, PartFile, Preset, Prompt, WeightDtype } from './preset.ts';
import { loadTokenizer, type TextTokenizer } from './text/tokenizer/tokenizer.ts';

export interface LoadModelOptions
  extends Omit<ModelOptions, 'tokenizer'>,
    FilesOptions,
    Partial<Record<Part, CheckpointSource | FileSet>> {
  /** tokenizer.json of models that draw from text, and its tokenizer_config.json. Default: those beside the checkpoint. */
  readonly tokenizer?: CheckpointSource;
  readonly tokenizerConfig?: CheckpointSource;
  /** Of LlamaGen: `vq-ds16` (default) or `vq-ds8`. */
  readonly vqPreset?: string;
}

/** The model that ships with this package. */
export const EMBEDDED_MODEL = 'emoji';

/** The same, drawing from words. */
export const EMBEDDED_TEXT_MODEL = 'emoji-text';

/** Every model by name. */
export const MODEL_NAMES: readonly string[] = [LLAMAGEN_PRESETS, JANUS_PRESETS, CHAMELEON_PRESETS].flatMap((presets) =>
  Object.keys(presets),
);

/** What is known of a model without its weights. Throws OptionError for an unknown name. */
export function modelPreset(name: string, options: { readonly vqPreset?: string } = {}): Preset {
  if (Object.hasOwn(LLAMAGEN_PRESETS, name)) return llamaGenPreset(name, options.vqPreset);
  if (Object.hasOwn(JANUS_PRESETS, name)) return janusPreset(name);
  if (Object.hasOwn(CHAMELEON_PRESETS, name)) return chameleonPreset(name);
  throw new OptionError(`model: expected one of ${MODEL_NAMES.join(', ')}, got ${name}`);
}

/**
 * Loads a model by name: `emoji`, which ships with the package, or a released one with its checkpoints, each a file, a
 * folder, a URL, or a repository of the Hugging Face hub (`hf:owner/name@revision`).
 *
 * Throws OptionError for an unknown name or a missing file, FormatError for a file that is damaged or of another model.
 */
export async function loadModel(
  runtime: Runtime,
  name: string,
  options: LoadModelOptions = {},
): Promise<ImageModel<Prompt>> {
  const preset = modelPreset(name, options);
  expectDtype(options.dtype);
  const opened: Partial<Record<Part, OpenedFiles>> = {};
  try {
    for (const [part, file] of Object.entries(preset.parts) as [Part, PartFile][]) {
      const found = await openPart(preset, part, file, opened.checkpoint?.files, options);
      if (found) opened[part] = found;
    }
    const tokenizer = preset.classes === undefined ? await openTokenizer(preset, opened, options) : undefined;
    const { tokenizer: _, tokenizerConfig: __, ...rest } = options;
    const checkpoints = Object.fromEntries(Object.entries(opened).map(([part, { checkpoint }]) => [part, checkpoint]));
    return await preset.load(runtime, checkpoints, { ...rest, ...(tokenizer && { tokenizer }) });
  } finally {
    for (const { checkpoint } of Object.values(opened)) await checkpoint.close();
  }
}

/** Throws OptionError for anything but a way to store matrices. */
export function expectDtype(dtype: WeightDtype | undefined): void {
  const known: readonly WeightDtype[] = ['f32', 'f16', 'int8', 'int4'];
  if (dtype !== undefined && !known.includes(dtype))
    throw new OptionError(`dtype: expected one of ${known.join(', ')}, got ${String(dtype)}`);
}

async function openPart(
  preset: Preset,
  part: Part,
  { packaged, beside, optional }: PartFile,
  files: FileSet | undefined,
  options: LoadModelOptions,
): Promise<OpenedFiles | undefined> {
  const source = options[part];
  const picked = pickOptions(FILES_OPTIONS, options);
  if (source !== undefined) return await openFiles(source, picked);
  if (packaged !== undefined) return await openFiles(await packagedSource(packaged), picked);
  const found = files && beside && (await openFirst(files, beside));
  if (found) return await openFiles(found.source, picked);
  if (optional) return undefined;
  throw new OptionError(
    `${part}: expected a file for ${preset.name}, got none; give its path, its URL, or hf:owner/name`,
  );
}

/** The tokenizer that the caller names, or that lies beside the text encoder's checkpoint or the transformer's. */
async function openTokenizer(
  { packagedTokenizer }: Preset,
  opened: Partial<Record<Part, OpenedFiles>>,
  options: LoadModelOptions,
): Promise<TextTokenizer | undefined> {
  const files = opened.textEncoder?.files ?? opened.checkpoint?.files;
  const beside = async (file: string) => (files ? (await openFirst(files, [file]))?.source : undefined);
  const shipped = async () =>
    packagedTokenizer === undefined ? await beside('tokenizer.json') : await packagedSource(packagedTokenizer);
  const words = options.tokenizer ?? (await shipped());
  if (words === undefined) return undefined;
  const config = options.tokenizerConfig ?? (options.tokenizer ? undefined : await beside('tokenizer_config.json'));
  return await loadTokenizer(words, { ...pickOptions(OPEN_SOURCE, options), ...(config && { config }) });
}
