/** LlamaGen as an `ImageModel`. */

import { floatDtype } from '../../kernels/linear/weight.ts';
import type { Checkpoint } from '../../tensor/checkpoint/checkpoint.ts';
import { Weights } from '../../tensor/checkpoint/weights.ts';
import type { Dtype } from '../../tensor/dtype.ts';
import { assert } from '../../tensor/errors.ts';
import type { Runtime } from '../../tensor/runtime.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { GpuLoader } from '../gpu-loader.ts';
import type { Condition, Geometry, ImageModel, LineGrid, Memory } from '../image-model.ts';
import { FLAN_T5_XL, T5_FLOAT, T5_IGNORED, type T5Config } from '../parts/t5/config.ts';
import { EMBEDDING_NAMES, loadT5Encoder } from '../parts/t5/load.ts';
import { forward } from '../parts/transformer.ts';
import { VQ_FLOAT, VQ_IGNORED, type VqConfig } from '../parts/vq/config.ts';
import { decode, type VqDecoder } from '../parts/vq/decoder.ts';
import { loadVqDecoder } from '../parts/vq/load.ts';
import type { ModelOptions } from '../preset.ts';
import { type CaptionReader, captionReader } from '../text/caption/caption-reader.ts';
import { expectSize } from '../text/prompt.ts';
import { type ConditionWeights, type LlamaGenPrompt, makeCondition } from './condition.ts';
import type { LlamaGenConfig } from './config.ts';
import { GPT_FLOAT, gptIgnored, loadCondition, loadTransformer } from './load.ts';
import { embed, type LlamaGenTransformer, logits } from './model.ts';

export interface LlamaGenOptions extends ModelOptions {
  readonly name: string;
  readonly config: LlamaGenConfig;
  readonly vqConfig: VqConfig;
  /** Reads captions, for text-conditional models; the whole T5 or its encoder. */
  readonly textEncoder?: Checkpoint;
  /** Default: flan-t5-xl. */
  readonly textConfig?: T5Config;
}

export class LlamaGen implements ImageModel<LlamaGenPrompt> {
  readonly name: string;
  readonly geometry: Geometry;
  readonly kvDtype: Dtype;
  readonly imageTokens: ImageModel<LlamaGenPrompt>['imageTokens'];
  readonly rounding = 'nearest';
  readonly patch: number;
  readonly defaults: ImageModel<LlamaGenPrompt>['defaults'];

  readonly #grid: LineGrid;

  private constructor(
    readonly runtime: Runtime,
    options: LlamaGenOptions,
    private readonly weights: {
      readonly transformer: LlamaGenTransformer;
      readonly condition: ConditionWeights;
      readonly vq: VqDecoder;
      readonly loaders: readonly GpuLoader[];
    },
  ) {
    const { config, vqConfig, dtype = 'f16' } = options;
    this.name = options.name;
    this.#grid = { lines: config.side, lineLength: config.side };
    this.geometry = {
      layers: config.layers,
      heads: config.heads,
      kvHeads: config.kvHeads,
      headDim: config.width / config.heads,
    };
    this.kvDtype = floatDtype(dtype);
    this.imageTokens = { first: 0, count: config.vocabulary };
    this.patch = 2 ** (vqConfig.multipliers.length - 1);
    this.defaults = config.sampling;
  }

  /** Loads the checkpoints onto the GPU, a slice at a time. Throws FormatError for a checkpoint of another model. */
  static async load(runtime: Runtime, gpt: Checkpoint, vq: Checkpoint, options: LlamaGenOptions): Promise<LlamaGen> {
    const loaders: GpuLoader[] = [];
    const open = (checkpoint: Checkpoint, ignored: readonly RegExp[], float: readonly RegExp[]) => {
      const weights = new Weights(checkpoint, ignored, options);
      const loader = new GpuLoader(runtime, weights, options.dtype ?? 'f16', float);
      loaders.push(loader);
      return loader;
    };
    try {
      const loader = open(gpt, gptIgnored(options.config), GPT_FLOAT);
      const transformer = await loadTransformer(loader, options.config);
      let condition = await loadCondition(loader, options.config);
      loader.weights.finish();
      if (condition.kind === 'caption' && options.textEncoder) {
        const reader = await loadReader(open(options.textEncoder, T5_IGNORED, T5_FLOAT), condition, options);
        condition = { ...condition, reader };
      }
      const vqLoader = open(vq, VQ_IGNORED, VQ_FLOAT);
      const decoder = await loadVqDecoder(vqLoader, options.vqConfig);
      vqLoader.weights.finish();
      await runtime.settled();
      return new LlamaGen(runtime, options, { transformer, condition, vq: decoder, loaders });
    } catch (error) {
      for (const loader of loaders) loader.dispose();
      throw error;
    }
  }

  grid(prompt?: LlamaGenPrompt): LineGrid {
    if (prompt) expectSize(this.name, prompt, this.#grid.lines * this.patch);
    return this.#grid;
  }

  condition(prompt: LlamaGenPrompt, guided: boolean): Condition {
    return makeCondition(this.runtime, this.weights.condition, prompt, guided);
  }

  embed(tokens: Tensor, rows: number): Tensor {
    return embed(this.weights.transformer, tokens, rows);
  }

  logits(x: Tensor, memory: Memory, tokens: number): Tensor {
    const { transformer } = this.weights;
    return logits(transformer, forward(transformer, x, memory), tokens);
  }

  decode(codes: Tensor, grid: LineGrid): Tensor {
    return decode(this.weights.vq, codes, grid);
  }

  dispose(): void {
    for (const loader of this.weights.loaders) loader.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

async function loadReader(
  loader: GpuLoader,
  { tokens, width }: { readonly tokens: number; readonly width: number },
  { textConfig = FLAN_T5_XL, tokenizer }: LlamaGenOptions,
): Promise<CaptionReader> {
  assert(textConfig.width === width, `text encoder of width ${textConfig.width} for captions of ${width}`);
  const embeddings = EMBEDDING_NAMES.find((name) => loader.weights.has(name));
  const encoder = await loadT5Encoder(loader, textConfig, tokens, embeddings);
  loader.weights.finish();
  return captionReader(encoder, textConfig, tokenizer);
}
