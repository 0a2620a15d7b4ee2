/** Bytes of a run before anything is loaded; no GPU is needed. */

import { storeBytes, storeSlots } from './cache/kv-store.ts';
import { type CacheOptions, planCache } from './cache/policy.ts';
import { loadCondition, loadTransformer } from './models/llamagen/load.ts';
import { modelConfig } from './models/load.ts';
import { SizeLoader } from './models/size-loader.ts';
import { loadVqDecoder } from './models/vq/load.ts';
import { OptionError } from './tensor/errors.ts';

export interface PlanOptions {
  /** Images drawn at once. Default 1. */
  readonly batch?: number;
  /** Whether guidance doubles the rows. Default true. */
  readonly guided?: boolean;
  readonly cache?: CacheOptions;
  readonly dtype?: 'f16' | 'f32';
  readonly tokenizer?: string;
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
  const { batch = 1, guided = true, cache = {}, dtype = 'f16' } = options;
  if (!Number.isSafeInteger(batch) || batch < 1)
    throw new OptionError(`batch: expected a whole number from 1, got ${batch}`);
  const { config, vqConfig } = modelConfig(model, options.tokenizer);
  const { side, layers, heads, kvHeads, width } = config;
  const rows = guided ? 2 * batch : batch;
  const cachePlan = planCache(cache, side);
  const condition = config.condition.kind === 'class' ? 1 : config.condition.tokens;
  const shape = { layers, rows, kvHeads, headDim: width / heads, dtype };
  const slots = storeSlots(cachePlan, side, condition);
  const kvBytes = storeBytes(shape, slots);
  const slotBytes = layers * rows * kvHeads * slots * (cachePlan.scored ? 8 : 4);
  const sizes = new SizeLoader(dtype);
  await loadTransformer(sizes, config);
  await loadCondition(sizes, config);
  await loadVqDecoder(sizes, vqConfig);
  const weightBytes = sizes.bytes;
  const stepBytes =
    4 * rows * condition * ((heads + 2 * kvHeads) * shape.headDim + 2 * width + config.hidden) +
    4 * rows * config.vocabulary;
  const pixels = (side * 2 ** (vqConfig.multipliers.length - 1)) ** 2;
  const decodeBytes = 3 * 4 * pixels * vqConfig.baseChannels * Math.max(...vqConfig.multipliers.slice(0, 2));
  return {
    model,
    rows,
    lines: side,
    lineLength: side,
    budgetLines: cachePlan.budgetLines,
    parameters: sizes.parameters,
    weightBytes,
    kvBytes,
    visualKvBytes: storeBytes(shape, slots - condition),
    slotBytes,
    stepBytes,
    decodeBytes,
    totalBytes: weightBytes + kvBytes + slotBytes + Math.max(stepBytes, decodeBytes),
  };
}
