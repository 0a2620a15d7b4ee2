/** Bytes of a run before anything is loaded; no GPU is needed. */

import { CACHE_OPTIONS, type CacheOptions, planCache } from './cache/policy.ts';
import { PARALLEL, type ParallelOptions, SPECULATE, type SpeculateOptions } from './cache/step-options.ts';
import { rowBindingBytes, scoredLanes, storeBytes, storeSlots } from './cache/store-shape.ts';
import { type Fit, type FittingOptions, fitOf } from './fit.ts';
import { floatDtype } from './kernels/linear/weight.ts';
import { BAND_BYTES } from './kernels/slabs.ts';
import type { WeightDtype } from './models/family.ts';
import { DTYPE } from './models/load-model.ts';
import { decoderBytes } from './models/parts/vq/decoder-bytes.ts';
import { type FamilyModel, modelDefinition } from './models/registry.ts';
import { parameterCount } from './models/weights/stored-shapes.ts';
import { weightBindingBytes, weightBytes } from './models/weights/weight-bytes.ts';
import { passBytes } from './pass-bytes.ts';
import { flag, nested, text, whole } from './tensor/checks.ts';
import { type Check, checkOptions, type OptionTable } from './tensor/options.ts';

/** What a run would be like: how many images, with or without guidance, in which storage. */
export interface PlanOptions {
  /** Images drawn at once. Default 1. */
  readonly batch?: number;
  /** Whether guidance doubles the rows. Default true. */
  readonly guided?: boolean;
  readonly cache?: CacheOptions;
  /** Default: one line after another. */
  readonly parallel?: ParallelOptions;
  /** Default: a token a step. */
  readonly speculate?: SpeculateOptions;
  readonly dtype?: WeightDtype;
  /** Tokens of the longest prompt, for models that draw from text. Default 64. */
  readonly promptTokens?: number;
  readonly vqPreset?: string;
  /** The device that the run should fit: a Runtime, or one in a worker. */
  readonly fit?: { readonly maxBindingBytes: number };
  /** Bytes that the run should fit. WebGPU does not tell what a device has. */
  readonly memoryBytes?: number;
}

/** More images at once than any device has room for: what follows from it stays a whole number. */
const MOST_IMAGES = 2 ** 20;

/** Every device's, and what no device is asked to exceed. Source: WebGPU, limit maxComputeWorkgroupsPerDimension. */
const MOST_ROWS = 65535;

const DEVICE: Check<{ readonly maxBindingBytes: number }> = {
  expected: 'a Runtime',
  fits: (value): value is { maxBindingBytes: number } =>
    whole(1).fits((value as { readonly maxBindingBytes?: unknown } | null)?.maxBindingBytes),
};

export const PLAN_OPTIONS: OptionTable<PlanOptions> = {
  place: 'plan',
  options: {
    batch: whole(1, MOST_IMAGES),
    guided: flag,
    cache: nested(CACHE_OPTIONS),
    parallel: nested(PARALLEL),
    speculate: nested(SPECULATE),
    dtype: DTYPE,
    promptTokens: whole(1, MOST_IMAGES),
    vqPreset: text,
    fit: DEVICE,
    memoryBytes: whole(1),
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
  /** Of these, keys and values of visual tokens: in proportion to `budgetLines`; in int8 a summary takes a slot more. */
  readonly visualKvBytes: number;
  /** Positions and scores of the slots. */
  readonly slotBytes: number;
  /** What the prefill, a step, a line's end and the sampler work in. */
  readonly stepBytes: number;
  /** What the decoder of images works in, one image after another. */
  readonly decodeBytes: number;
  /** All of them: whatever a run needs, it takes before the first token. */
  readonly totalBytes: number;
  /** The most that one binding has to hold. */
  readonly bindingBytes: number;
  /** Whether it fits `fit` and `memoryBytes`, and what would. Without them everything fits. */
  readonly fit: Fit;
}

/**
 * What a run needs, and with `fit` or `memoryBytes` what of it fits: fewer images at once, else keys and values in 8 bits,
 * else weights of a smaller dtype, else fewer lines remembered. Throws OptionError for an unknown model or options out of range.
 *
 * @example
 * const { kvBytes, totalBytes } = await plan('llamagen-xl-384', { batch: 8, cache: { budgetLines: 6 } });
 * const { fit } = await plan('janus-pro-7b', { batch: 8, fit: runtime, memoryBytes: 8e9 });
 * console.log(fit.lacks, fit.options); // ['memory'], { batch: 8, dtype: 'int4', cache: { kvDtype: 'int8' } }
 */
export async function plan(model: string | FamilyModel, given: PlanOptions = {}): Promise<MemoryPlan> {
  const options = checkOptions(PLAN_OPTIONS, given);
  const { batch = 1, cache = {}, dtype = 'f16', fit: device, memoryBytes = Number.POSITIVE_INFINITY } = options;
  const need = planner(model, options);
  const asked = { batch, dtype, cache: { ...cache } };
  const needed = need(asked);
  const room = {
    memoryBytes,
    bindingBytes: device?.maxBindingBytes ?? Number.POSITIVE_INFINITY,
    rows: device ? MOST_ROWS : Number.POSITIVE_INFINITY,
  };
  return { ...needed, fit: fitOf(asked, { room, lines: needed.lines, need }) };
}

/** Plans of one model for several runs, without what fits. */
export function planner(
  model: string | FamilyModel,
  { promptTokens = 64, guided = true, parallel, speculate, vqPreset, fit: device }: PlanOptions,
): (run: FittingOptions) => Omit<MemoryPlan, 'fit'> {
  const definition = modelDefinition(model, vqPreset === undefined ? {} : { vqPreset });
  const { name, geometry, grid, vq } = definition;
  const { lines, lineLength } = grid;
  const condition = definition.conditionTokens(promptTokens);
  const weights = Object.values(definition.parts).map((part) => part.weights);
  const parameters = parameterCount(weights);
  const columns = grid.lineEnd === undefined ? lineLength : lineLength - 1;
  const decoder = decoderBytes(vq, { lines, columns }, Math.min(BAND_BYTES, device?.maxBindingBytes ?? BAND_BYTES));
  return ({ batch, dtype, cache }) => {
    const rows = guided ? 2 * batch : batch;
    const cachePlan = planCache(cache, grid, { parallel, speculate });
    const { kvDtype = floatDtype(dtype) } = cachePlan;
    const shape = { ...geometry, rows, dtype: kvDtype };
    const slots = storeSlots(cachePlan, lineLength, condition, kvDtype);
    const kvBytes = storeBytes(shape, slots);
    const lanes = scoredLanes(cachePlan, lineLength);
    const slotBytes = 4 * geometry.layers * rows * geometry.kvHeads * slots * (1 + lanes);
    const bytes = weightBytes(weights, dtype);
    const pass = passBytes(definition, { images: batch, rows, promptLength: condition, plan: cachePlan });
    const rowBytes = rowBindingBytes(shape, slots, lanes);
    return {
      model: name,
      rows,
      lines,
      lineLength,
      budgetLines: cachePlan.budgetLines,
      parameters,
      weightBytes: bytes,
      kvBytes,
      visualKvBytes: storeBytes(shape, slots - condition),
      slotBytes,
      stepBytes: pass.bytes,
      decodeBytes: decoder.bytes,
      totalBytes: bytes + kvBytes + slotBytes + pass.bytes + decoder.bytes,
      bindingBytes: Math.max(rowBytes, pass.bindingBytes, decoder.bindingBytes, weightBindingBytes(weights, dtype)),
    };
  };
}
