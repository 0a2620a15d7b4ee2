/** Bytes of a run before anything is loaded; no GPU is needed. */

import { PARALLEL, type ParallelOptions } from './cache/parallel-options.ts';
import { CACHE_OPTIONS, type CacheOptions, planCache } from './cache/policy.ts';
import { scoredLanes, storeBytes, storeSlots } from './cache/store-shape.ts';
import { floatDtype } from './kernels/linear/weight.ts';
import type { WeightDtype } from './models/family.ts';
import { DTYPE } from './models/load-model.ts';
import { decoderBytes } from './models/parts/vq/decoder-bytes.ts';
import { type FamilyModel, modelDefinition } from './models/registry.ts';
import { parameterCount } from './models/weights/stored-shapes.ts';
import { weightBytes } from './models/weights/weight-bytes.ts';
import { passBytes } from './pass-bytes.ts';
import { flag, nested, text, whole } from './tensor/checks.ts';
import { checkOptions, type OptionTable } from './tensor/options.ts';

/** What a run would be like: how many images, with or without guidance, in which storage. */
export interface PlanOptions {
  /** Images drawn at once. Default 1. */
  readonly batch?: number;
  /** Whether guidance doubles the rows. Default true. */
  readonly guided?: boolean;
  readonly cache?: CacheOptions;
  /** Default: one line after another. */
  readonly parallel?: ParallelOptions;
  readonly dtype?: WeightDtype;
  /** Tokens of the longest prompt, for models that draw from text. Default 64. */
  readonly promptTokens?: number;
  readonly vqPreset?: string;
}

/** More images at once than any device has room for: what follows from it stays a whole number. */
const MOST_IMAGES = 2 ** 20;

export const PLAN_OPTIONS: OptionTable<PlanOptions> = {
  place: 'plan',
  options: {
    batch: whole(1, MOST_IMAGES),
    guided: flag,
    cache: nested(CACHE_OPTIONS),
    parallel: nested(PARALLEL),
    dtype: DTYPE,
    promptTokens: whole(1, MOST_IMAGES),
    vqPreset: text,
  },
};

/** Bytes of a run, by what holds them. */
export interface MemoryPlan {
  readonly model: string;
  readonly rows: number;
  readonly lines: number;
  readonly lineLength: number;
  readonly budgetLines: number;
  /** Parameters of transformer, decoder and text encoder. */
  readonly parameters: number;
  /** Their weights as they lie on the GPU, padding included. */
  readonly weightBytes: number;
  /** Keys and values, condition included. */
  readonly kvBytes: number;
  /** Of these, keys and values of visual tokens: in proportion to `budgetLines`. */
  readonly visualKvBytes: number;
  /** Positions and scores of the slots. */
  readonly slotBytes: number;
  /** What the prefill, a step, a line's end and the sampler work in. */
  readonly stepBytes: number;
  /** What the decoder of images works in, one image after another. */
  readonly decodeBytes: number;
  /** All of them: whatever a run needs, it takes before the first token. */
  readonly totalBytes: number;
}

/**
 * Throws OptionError for an unknown model or options out of range.
 *
 * @example
 * const { kvBytes, totalBytes } = await plan('llamagen-xl-384', { batch: 8, cache: { budgetLines: 6 } });
 */
export async function plan(model: string | FamilyModel, given: PlanOptions = {}): Promise<MemoryPlan> {
  const options = checkOptions(PLAN_OPTIONS, given);
  const { batch = 1, promptTokens = 64, guided = true, cache = {}, parallel, dtype = 'f16' } = options;
  const definition = modelDefinition(model, options);
  const { name, geometry, grid, vq } = definition;
  const { lines, lineLength } = grid;
  const rows = guided ? 2 * batch : batch;
  const cachePlan = planCache(cache, grid, parallel?.window);
  const condition = definition.conditionTokens(promptTokens);
  const shape = { ...geometry, rows, dtype: floatDtype(dtype) };
  const slots = storeSlots(cachePlan, lineLength, condition);
  const kvBytes = storeBytes(shape, slots);
  const slotBytes = 4 * geometry.layers * rows * geometry.kvHeads * slots * (1 + scoredLanes(cachePlan, lineLength));
  const weights = Object.values(definition.parts).map((part) => part.weights);
  const bytes = weightBytes(weights, dtype);
  const stepBytes = passBytes(definition, { images: batch, rows, promptLength: condition, plan: cachePlan });
  const columns = grid.lineEnd === undefined ? lineLength : lineLength - 1;
  const decodeBytes = decoderBytes(vq, { lines, columns });
  return {
    model: name,
    rows,
    lines,
    lineLength,
    budgetLines: cachePlan.budgetLines,
    parameters: parameterCount(weights),
    weightBytes: bytes,
    kvBytes,
    visualKvBytes: storeBytes(shape, slots - condition),
    slotBytes,
    stepBytes,
    decodeBytes,
    totalBytes: bytes + kvBytes + slotBytes + stepBytes + decodeBytes,
  };
}
