/** From a model's name and its checkpoint files to a model on the GPU. */

import { packagedSource } from '#platform';
import { openCheckpoint } from '../tensor/checkpoint.ts';
import { OptionError } from '../tensor/errors.ts';
import { type CheckpointSource, openSource } from '../tensor/open-source.ts';
import type { Runtime } from '../tensor/runtime.ts';
import type { LoadOptions } from '../tensor/weights.ts';
import { type LlamaGenConfig, llamaGenPreset } from './llamagen/config.ts';
import { LlamaGen } from './llamagen/index.ts';
import { type VqConfig, vqPreset } from './vq/config.ts';

export interface LoadModelOptions extends LoadOptions {
  /** The transformer's checkpoint, `.safetensors` or LlamaGen's `.pt`. The embedded model needs none. */
  readonly gpt?: CheckpointSource;
  /** The VQ tokenizer's checkpoint. */
  readonly vq?: CheckpointSource;
  /** `vq-ds16` (default) or `vq-ds8`. */
  readonly tokenizer?: string;
  /** Storage of matrices, keys and values. Default f16. */
  readonly dtype?: 'f16' | 'f32';
}

/** The model that ships with this package. */
export const EMBEDDED_MODEL = 'emoji';

/** Configurations of a model by name, without its weights. Throws OptionError for an unknown name. */
export function modelConfig(
  name: string,
  tokenizer?: string,
): { readonly config: LlamaGenConfig; readonly vqConfig: VqConfig } {
  return {
    config: llamaGenPreset(name),
    vqConfig: vqPreset(tokenizer ?? (name === EMBEDDED_MODEL ? EMBEDDED_MODEL : 'vq-ds16')),
  };
}

/**
 * Loads a model by name: `emoji`, which ships with the package, or a released LlamaGen with its two checkpoints.
 *
 * Throws OptionError for an unknown name or a missing file, FormatError for a file that is damaged or of another model.
 */
export async function loadModel(runtime: Runtime, name: string, options: LoadModelOptions = {}): Promise<LlamaGen> {
  const configs = modelConfig(name, options.tokenizer);
  const dtype = options.dtype ?? 'f16';
  if (dtype !== 'f16' && dtype !== 'f32') throw new OptionError(`dtype: expected f16 or f32, got ${String(dtype)}`);
  const open = async (part: 'gpt' | 'vq') => {
    const source = options[part];
    if (source !== undefined) return await openCheckpoint(await openSource(source, options));
    if (name === EMBEDDED_MODEL)
      return await openCheckpoint(await packagedSource(`checkpoints/emoji/${part}.safetensors`));
    throw new OptionError(`${part}: expected a checkpoint file for ${name}, got none; give its path or URL`);
  };
  const gpt = await open('gpt');
  try {
    const vq = await open('vq');
    try {
      return await LlamaGen.load(runtime, gpt, vq, { ...options, ...configs, name, dtype });
    } finally {
      await vq.close();
    }
  } finally {
    await gpt.close();
  }
}
