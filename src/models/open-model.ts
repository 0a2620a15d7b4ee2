/** A definition and its checkpoints to a model on the GPU: the one `ImageModel` there is. */

import { floatDtype } from '../kernels/linear/weight.ts';
import type { Checkpoint } from '../tensor/checkpoint/checkpoint.ts';
import type { LoadOptions } from '../tensor/checkpoint/weights.ts';
import { assert, OptionError } from '../tensor/errors.ts';
import type { Runtime } from '../tensor/runtime.ts';
import { checkPrompt } from './check-prompt.ts';
import { type ModelDefinition, type Part, type PartDefinition, patchOf, type WeightDtype } from './family.ts';
import type { ImageModel } from './image-model.ts';
import { officialCheckpoint } from './official-names.ts';
import type { TextTokenizer } from './text/tokenizer/tokenizer.ts';
import { loadWeights } from './weights/load-weights.ts';
import { quantizedDtype } from './weights/quantized-layer.ts';
import { expectFit } from './weights/stored-shapes.ts';

export type Checkpoints = Readonly<Partial<Record<Part, Checkpoint>>>;

export interface ModelOptions extends LoadOptions {
  /**
   * Storage of matrices. Default: that of a checkpoint of `rasterline quantize`, else f16. With `int8` and `int4` the
   * matrices that a family does not keep in float are quantized while they are loaded; tables, convolutions, keys and
   * values are f16 then, as with `f16` (for keys and values see `CacheOptions`).
   */
  readonly dtype?: WeightDtype;
  /** Reads prompts; without it a text model takes ids or features alone. */
  readonly tokenizer?: TextTokenizer;
}

/**
 * Throws FormatError for a checkpoint or a tokenizer of another model, OptionError for another dtype than a quantized
 * checkpoint has, before anything is loaded. The checkpoints stay the caller's.
 */
export async function openModel<Prompt extends object>(
  runtime: Runtime,
  definition: ModelDefinition<Prompt>,
  { checkpoints, ...options }: ModelOptions & { readonly checkpoints: Checkpoints },
): Promise<ImageModel<Prompt>> {
  const { name, origin, geometry, imageTokens, rounding, defaults, vq, promptKinds } = definition;
  const { tokenizer } = options;
  if (tokenizer) definition.expectTokenizer?.(tokenizer);
  const parts = Object.entries(definition.parts).flatMap(([part, file]: [string, PartDefinition]) => {
    const given = checkpoints[part as Part];
    if (!given) assert(file.optional, `${name}: a checkpoint for ${part}`);
    return given ? [{ part, ...file, checkpoint: officialCheckpoint(given, file.officialName) }] : [];
  });
  for (const { checkpoint } of parts) expectStored(checkpoint, options.dtype);
  for (const { weights, checkpoint, ignored } of parts) expectFit(weights, checkpoint, ignored);
  const dtype = options.dtype ?? (checkpoints.checkpoint && quantizedDtype(checkpoints.checkpoint)) ?? 'f16';
  const loaded: { dispose(): void }[] = [];
  const dispose = () => {
    for (const one of loaded) one.dispose();
  };
  try {
    const layers: Record<string, object> = {};
    for (const { part, weights, checkpoint } of parts) {
      const own = await loadWeights(runtime, weights, { ...options, checkpoint, dtype });
      loaded.push(own);
      layers[part] = own.layers;
    }
    await runtime.settled();
    const model = await definition.model(layers, { runtime, tokenizer });
    return {
      name,
      ...(origin && { origin }),
      runtime,
      geometry,
      kvDtype: floatDtype(dtype),
      imageTokens,
      patch: patchOf(vq),
      rounding,
      defaults,
      ...model,
      grid: (prompt) => model.grid(checkPrompt(promptKinds, prompt)),
      condition: (prompt, guided) => model.condition(checkPrompt(promptKinds, prompt), guided),
      dispose,
      [Symbol.dispose]: dispose,
    };
  } catch (error) {
    dispose();
    throw error;
  }
}

/** Throws OptionError where whole numbers are asked for as anything else. */
function expectStored(checkpoint: Checkpoint, dtype: WeightDtype | undefined): void {
  const stored = quantizedDtype(checkpoint);
  if (stored === undefined || dtype === undefined || dtype === stored) return;
  throw new OptionError(
    `dtype: expected ${stored}, in which ${checkpoint.name} is stored, got ${dtype}; leave it out, or load the original`,
  );
}
