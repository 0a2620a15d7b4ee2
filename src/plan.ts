/** Bytes of a run before anything is loaded; no GPU is needed. */

import { storeBytes, storeSlots } from './cache/kv-store.ts';
import { type CacheOptions, planCache } from './cache/policy.ts';
import { floatDtype } from './kernels/linear/weight.ts';
import type { Part, WeightDtype } from './models/preset.ts';
import { expectDtype, modelPreset } from './models/registry.ts';
import { SizeLoader } from './models/size-loader.ts';
import { OptionError } from './tensor/errors.ts';

export interface PlanOptions {
  /** Images drawn at once. Default 1. */
  readonly batch?: number;
  /** Whether guidance doubles the rows. Default true. */
  readonly guided?: boolean;
  readonly cache?: CacheOptions;
  readonly dtype?: WeightDtype;
  /** Tokens of the longest prompt, for models that draw from text. Default 64. */
  readonly promptTokens?: number;
  readonly vqPreset?: string;
}

export interface MemoryPlan {
  readonly model: string;
  readonly rows: number;
  readonly lines: number;
  readonly lineLength: number;
  readonly budgetLines: number;
  /** Parameters of transformer and decoder. */
  readonly parameters: number;
  /** Weights of transformer and decoder as they lie on the GPU, padding included. */
  readonly weightBytes: number;
  /** Keys and values, condition included. */
  readonly kvBytes: number;
  /** Of these, keys and values of visual tokens: in proportion to `budgetLines`. */
  readonly visualKvBytes: number;
  /** Positions and scores of the slots. */
  readonly slotBytes: number;
  /** Activations of a step, and of the decoder: estimates from the largest tensors alive together. */
  readonly stepBytes: number;
  readonly decodeBytes: number;
  readonly totalBytes: number;
}

/** Throws OptionError for an unknown model or options out of range. */
export async function plan(model: string, options: PlanOptions = {}): Promise<MemoryPlan> {
  const { batch = 1, promptTokens = 64, guided = true, cache = {}, dtype = 'f16' } = options;
  if (!Number.isSafeInteger(batch) || batch < 1)
    throw new OptionError(`batch: expected a whole number from 1, got ${batch}`);
  if (!Number.isSafeInteger(promptTokens) || promptTokens < 1)
    throw new OptionError(`promptTokens: expected a whole number from 1, got ${promptTokens}`);
  expectDtype(dtype);
  const preset = modelPreset(model, options);
  const { geometry, grid, width, intermediateSize, vocabulary, vq } = preset;
  const { lines, lineLength } = grid;
  const rows = guided ? 2 * batch : batch;
  const cachePlan = planCache(cache, lines);
  const condition = preset.conditionTokens(promptTokens);
  const shape = { ...geometry, rows, dtype: floatDtype(dtype) };
  const slots = storeSlots(cachePlan, lineLength, condition);
  const kvBytes = storeBytes(shape, slots);
  const slotBytes = geometry.layers * rows * geometry.kvHeads * slots * (cachePlan.scored ? 8 : 4);
  const sizes = await Promise.all(
    (Object.keys(preset.parts) as Part[]).map(async (part) => {
      const counted = new SizeLoader(dtype, preset.unquantized(part));
      await preset.take(part, counted);
      return counted;
    }),
  );
  const weightBytes = sizes.reduce((sum, { bytes }) => sum + bytes, 0);
  const stepBytes =
    4 * rows * condition * ((geometry.heads + 2 * geometry.kvHeads) * geometry.headDim + 2 * width + intermediateSize) +
    4 * rows * vocabulary;
  const columns = grid.lineEnd === undefined ? lineLength : lineLength - 1;
  const pixels = lines * columns * 4 ** (vq.multipliers.length - 1);
  const decodeBytes = 3 * 4 * pixels * vq.baseChannels * Math.max(...vq.multipliers.slice(0, 2));
  return {
    model,
    rows,
    lines,
    lineLength,
    budgetLines: cachePlan.budgetLines,
    parameters: sizes.reduce((sum, { parameters }) => sum + parameters, 0),
    weightBytes,
    kvBytes,
    visualKvBytes: storeBytes(shape, slots - condition),
    slotBytes,
    stepBytes,
    decodeBytes,
    totalBytes: weightBytes + kvBytes + slotBytes + Math.max(stepBytes, decodeBytes),
  };
}
