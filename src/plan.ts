/** Bytes of a run before anything is loaded; no GPU is needed. */

import { storeBytes, storeSlots } from './cache/kv-store.ts';
import { type CacheOptions, planCache } from './cache/policy.ts';
import { blockCount, LANES } from './kernels/linear-weight.ts';
import type { LlamaGenConfig } from './models/llamagen/config.ts';
import { modelConfig } from './models/load.ts';
import type { VqConfig } from './models/vq/config.ts';
import { ELEMENT_BYTES } from './tensor/dtype.ts';
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
export function plan(model: string, options: PlanOptions = {}): MemoryPlan {
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
  const [transformer, decoder] = [transformerSize(config, dtype), decoderSize(vqConfig, dtype)];
  const weightBytes = transformer.bytes + decoder.bytes;
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
    parameters: transformer.parameters + decoder.parameters,
    weightBytes,
    kvBytes,
    visualKvBytes: storeBytes(shape, slots - condition),
    slotBytes,
    stepBytes,
    decodeBytes,
    totalBytes: weightBytes + kvBytes + slotBytes + Math.max(stepBytes, decodeBytes),
  };
}

interface Size {
  readonly parameters: number;
  readonly bytes: number;
}

class Sizes {
  parameters = 0;
  bytes = 0;

  constructor(readonly dtype: 'f16' | 'f32') {}

  /** A linear layer, in whole blocks of outputs. */
  linear(inputs: number, outputs: number): void {
    this.parameters += inputs * outputs;
    this.bytes += Math.ceil(outputs / LANES) * blockCount(inputs) * ELEMENT_BYTES[this.dtype];
  }

  table(count: number, width: number): void {
    this.parameters += count * width;
    this.bytes += count * width * ELEMENT_BYTES[this.dtype];
  }

  vector(width: number): void {
    this.parameters += width;
    this.bytes += 4 * width;
  }
}

function transformerSize(config: LlamaGenConfig, dtype: 'f16' | 'f32'): Size {
  const { width, heads, kvHeads, hidden, layers, vocabulary, side, condition } = config;
  const sizes = new Sizes(dtype);
  const headDim = width / heads;
  sizes.table(vocabulary, width);
  for (let layer = 0; layer < layers; layer++) {
    sizes.linear(width, (heads + 2 * kvHeads) * headDim);
    sizes.linear(width, width);
    sizes.linear(width, hidden);
    sizes.linear(width, hidden);
    sizes.linear(hidden, width);
    sizes.parameters += 2 * width; // norms: folded into the weights, no memory of their own
  }
  sizes.linear(width, vocabulary);
  sizes.parameters += width;
  if (condition.kind === 'class') {
    sizes.table(condition.classes + 1, width);
  } else {
    sizes.linear(condition.width, width);
    sizes.linear(width, width);
    sizes.parameters += condition.tokens * condition.width;
  }
  sizes.bytes += 4 * headDim * ((condition.kind === 'class' ? 1 : condition.tokens) + side * side);
  return sizes;
}

/** The decoder's convolutions and norms, level by level as vq/decoder.ts builds them. */
function decoderSize(
  { codebook, zChannels, baseChannels, multipliers, residualBlocks }: VqConfig,
  dtype: 'f16' | 'f32',
): Size {
  const sizes = new Sizes(dtype);
  const conv = (inputs: number, outputs: number, taps: number) => {
    sizes.linear(inputs * taps, outputs);
    sizes.vector(outputs);
  };
  const norm = (channels: number) => {
    sizes.vector(channels);
    sizes.vector(channels);
  };
  const residual = (inputs: number, outputs: number) => {
    norm(inputs);
    conv(inputs, outputs, 9);
    norm(outputs);
    conv(outputs, outputs, 9);
    if (inputs !== outputs) conv(inputs, outputs, 1);
  };
  const attention = (channels: number) => {
    norm(channels);
    for (let i = 0; i < 4; i++) conv(channels, channels, 1);
  };
  const widths = multipliers.map((m) => m * baseChannels).reverse();
  const deepest = widths[0]!;
  sizes.table(codebook.count, codebook.width);
  conv(codebook.width, zChannels, 1);
  conv(zChannels, deepest, 9);
  residual(deepest, deepest);
  attention(deepest);
  residual(deepest, deepest);
  let channels = deepest;
  for (const [level, width] of widths.entries()) {
    for (let block = 0; block <= residualBlocks; block++) {
      residual(channels, width);
      if (level === 0) attention(width);
      channels = width;
    }
    if (level < widths.length - 1) conv(channels, channels, 9);
  }
  norm(channels);
  conv(channels, 3, 9);
  return sizes;
}
