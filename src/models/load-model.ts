/** From a model's name or configuration and its checkpoint files to a model on the GPU. */

import { packagedSource } from '#source';
import {
  FILES_OPTIONS,
  FILES_SOURCE,
  type FilesOptions,
  type OpenedFiles,
  openFiles,
} from '../tensor/checkpoint/open-files.ts';
import { callback, having, oneOf, signal, text } from '../tensor/checks.ts';
import { OptionError } from '../tensor/errors.ts';
import { checkOptions, checkValue, type OptionTable, pickOptions } from '../tensor/options.ts';
import type { Runtime } from '../tensor/runtime.ts';
import { type FileSet, openFirst } from '../tensor/source/file-set.ts';
import { type CheckpointSource, OPEN_SOURCE, SOURCE } from '../tensor/source/open-source.ts';
import { readConfigFile } from './config-file.ts';
import type { ModelDefinition, Part, PartDefinition, WeightDtype } from './family.ts';
import type { ImageModel } from './image-model.ts';
import { type ModelOptions, openModel } from './open-model.ts';
import {
  checkModel,
  configReader,
  type FamilyModel,
  type ModelName,
  modelDefinition,
  type Prompt,
  type PromptOf,
} from './registry.ts';
import { loadTokenizer, type TextTokenizer } from './text/tokenizer/tokenizer.ts';

/** Where the files of a model are, and how it is stored. */
export interface LoadModelOptions
  extends Omit<ModelOptions, 'tokenizer'>,
    FilesOptions,
    Partial<Record<Part, CheckpointSource | FileSet>> {
  /** tokenizer.json of models that draw from text, and its tokenizer_config.json. Default: those beside the checkpoint. */
  readonly tokenizer?: CheckpointSource;
  readonly tokenizerConfig?: CheckpointSource;
  /** Other sizes of the VQ tokenizer than the model's own: for LlamaGen `vq-ds16` (default) or `vq-ds8`. */
  readonly vqPreset?: string;
}

/** How matrices can be stored. */
export const DTYPE = oneOf<WeightDtype>('f32', 'f16', 'int8', 'int4');

const RUNTIME = having<Runtime>('a Runtime', 'tensor', 'record');

export const LOAD_MODEL: OptionTable<LoadModelOptions> = {
  place: 'loadModel',
  options: {
    ...FILES_OPTIONS.options,
    checkpoint: FILES_SOURCE,
    vq: FILES_SOURCE,
    textEncoder: FILES_SOURCE,
    tokenizer: SOURCE,
    tokenizerConfig: SOURCE,
    vqPreset: text,
    dtype: DTYPE,
    onProgress: callback(),
    signal,
  },
};

type Opened = Partial<Record<Part, OpenedFiles>>;

/**
 * Loads a model by name: `emoji`, which ships with the package, or a released one with its checkpoints, each a file, a
 * folder, a URL, or a repository of the Hugging Face hub (`hf:owner/name@revision`). Or one of any size of a known family:
 *
 *     const model = await loadModel(runtime, { family: 'llamagen', config: { layers: 16, heads: 12, width: 768, side: 16 } }, {
 *       checkpoint: 'mine.pt', vq: 'vq_ds16_c2i.pt',
 *     });
 *
 * Throws OptionError for an unknown name or a missing file, FormatError for a file that is damaged or of another model.
 *
 * @example
 * using model = await loadModel(runtime, 'emoji');
 * using large = await loadModel(runtime, 'janus-pro-1b', { checkpoint: 'hf:deepseek-ai/Janus-Pro-1B', dtype: 'int4' });
 */
export async function loadModel<Model extends ModelName | FamilyModel>(
  runtime: Runtime,
  model: Model,
  given: LoadModelOptions = {},
): Promise<ImageModel<PromptOf<Model>>> {
  const options = checkOptions(LOAD_MODEL, given);
  checkValue('runtime', RUNTIME, runtime);
  const opened: Opened = {};
  try {
    const definition = await defined(checkModel(model), opened, options);
    for (const part of Object.entries(definition.parts) as [Part, PartDefinition][]) {
      const found = opened[part[0]] ?? (await openPart(definition, part, opened.checkpoint?.files, options));
      if (found) opened[part[0]] = found;
    }
    const tokenizer = definition.classes === undefined ? await openTokenizer(definition, opened, options) : undefined;
    const { tokenizer: _, ...rest } = options;
    const checkpoints = Object.fromEntries(Object.entries(opened).map(([part, { checkpoint }]) => [part, checkpoint]));
    return await openModel(runtime, definition, { ...rest, checkpoints, ...(tokenizer && { tokenizer }) });
  } finally {
    for (const { checkpoint } of Object.values(opened)) await checkpoint.close();
  }
}

/** By name, by configuration, or by the config.json beside a checkpoint, which is opened for it. */
async function defined(
  model: ModelName | FamilyModel,
  opened: Opened,
  options: LoadModelOptions,
): Promise<ModelDefinition<Prompt>> {
  if (typeof model === 'string' || model.config !== undefined) return modelDefinition(model, options);
  const configOf = configReader(model.family);
  const { checkpoint: source } = options;
  if (source === undefined) throw missing('checkpoint', model.family);
  opened.checkpoint = await openFiles(source, pickOptions(FILES_OPTIONS, options));
  const { files } = opened.checkpoint;
  const found = files && (await openFirst(files, ['config.json']));
  if (!found)
    throw new OptionError(
      `config: expected one, or a checkpoint with a config.json beside it, got none; give { config }, or name the folder or repository`,
    );
  return modelDefinition(configOf(await readConfigFile(found.source)), options);
}

async function openPart(
  { name }: ModelDefinition<Prompt>,
  [part, { packaged, beside, optional }]: readonly [Part, PartDefinition],
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
  throw missing(part, name);
}

function missing(part: Part, model: string): OptionError {
  return new OptionError(`${part}: expected a file for ${model}, got none; give its path, its URL, or hf:owner/name`);
}

/** The tokenizer that the caller names, or that lies beside the text encoder's checkpoint or the transformer's. */
async function openTokenizer(
  { packagedTokenizer }: ModelDefinition<Prompt>,
  opened: Opened,
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
