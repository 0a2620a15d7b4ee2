/** From a model's name and its checkpoint files to a model on the GPU. */

import { packagedSource } from '#platform';
import { type Checkpoint, openCheckpoint } from '../tensor/checkpoint.ts';
import { OptionError } from '../tensor/errors.ts';
import { type CheckpointSource, openSource } from '../tensor/open-source.ts';
import type { Runtime } from '../tensor/runtime.ts';
import type { ImageModel } from './image-model.ts';
import { JANUS_PRESETS } from './janus/config.ts';
import { janusPreset } from './janus/preset.ts';
import { LLAMAGEN_PRESETS } from './llamagen/config.ts';
import { llamaGenPreset } from './llamagen/preset.ts';
import { LUMINA_PRESETS } from './lumina/config.ts';
import { luminaPreset } from './lumina/preset.ts';
import type { ModelOptions, Part, PartFile, Preset, Prompt, WeightDtype } from './preset.ts';
import { loadTokenizer } from './tokenizer.ts';

export interface LoadModelOptions extends Omit<ModelOptions, 'tokenizer'>, Partial<Record<Part, CheckpointSource>> {
  /** The checkpoint's tokenizer.json, for models that draw from text, and its tokenizer_config.json. */
  readonly tokenizer?: CheckpointSource;
  readonly tokenizerConfig?: CheckpointSource;
  /** Of LlamaGen: `vq-ds16` (default) or `vq-ds8`. */
  readonly vqPreset?: string;
}

/** The model that ships with this package. */
export const EMBEDDED_MODEL = 'emoji';

/** Every model by name. */
export const MODEL_NAMES: readonly string[] = [LLAMAGEN_PRESETS, JANUS_PRESETS, LUMINA_PRESETS].flatMap((presets) =>
  Object.keys(presets),
);

/** What is known of a model without its weights. Throws OptionError for an unknown name. */
export function modelPreset(name: string, options: { readonly vqPreset?: string } = {}): Preset {
  if (Object.hasOwn(LLAMAGEN_PRESETS, name)) return llamaGenPreset(name, options.vqPreset);
  if (Object.hasOwn(JANUS_PRESETS, name)) return janusPreset(name);
  if (Object.hasOwn(LUMINA_PRESETS, name)) return luminaPreset(name);
  throw new OptionError(`model: expected one of ${MODEL_NAMES.join(', ')}, got ${name}`);
}

/**
 * Loads a model by name: `emoji`, which ships with the package, or a released one with its checkpoints.
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
  const opened: Partial<Record<Part, Checkpoint>> = {};
  try {
    for (const [part, file] of Object.entries(preset.parts) as [Part, PartFile][]) {
      const source = await partSource(preset, part, file, options);
      if (source) opened[part] = await openCheckpoint(source);
    }
    const { tokenizer: words, tokenizerConfig: config, ...rest } = options;
    const tokenizer = words && (await loadTokenizer(words, { ...options, ...(config && { config }) }));
    return await preset.load(runtime, opened, { ...rest, ...(tokenizer && { tokenizer }) });
  } finally {
    for (const checkpoint of Object.values(opened)) await checkpoint.close();
  }
}

/** Throws OptionError for anything but a way to store matrices. */
export function expectDtype(dtype: WeightDtype | undefined): void {
  const known: readonly WeightDtype[] = ['f32', 'f16', 'int8', 'int4'];
  if (dtype !== undefined && !known.includes(dtype))
    throw new OptionError(`dtype: expected one of ${known.join(', ')}, got ${String(dtype)}`);
}

async function partSource(preset: Preset, part: Part, file: PartFile, options: LoadModelOptions) {
  const source = options[part];
  if (source !== undefined) return await openSource(source, options);
  if (file.packaged !== undefined) return await packagedSource(file.packaged);
  if (file.optional) return undefined;
  throw new OptionError(`${part}: expected a file for ${preset.name}, got none; give its path or URL`);
}
