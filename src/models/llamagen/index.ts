/** LlamaGen as an `ImageModel`. */

import type { Checkpoint } from '../../tensor/checkpoint.ts';
import type { Dtype } from '../../tensor/dtype.ts';
import type { Runtime } from '../../tensor/runtime.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { Weights } from '../../tensor/weights.ts';
import { GpuLoader } from '../gpu-loader.ts';
import type { Condition, Geometry, ImageModel, LineGrid, Memory } from '../image-model.ts';
import type { ModelOptions } from '../preset.ts';
import { forward } from '../transformer.ts';
import { VQ_IGNORED, type VqConfig } from '../vq/config.ts';
import { decode, type VqDecoder } from '../vq/decoder.ts';
import { loadVqDecoder } from '../vq/load.ts';
import { type ConditionWeights, type LlamaGenPrompt, makeCondition } from './condition.ts';
import type { LlamaGenConfig } from './config.ts';
import { GPT_IGNORED, loadCondition, loadTransformer } from './load.ts';
import { embed, type LlamaGenTransformer, logits } from './model.ts';

export interface LlamaGenOptions extends ModelOptions {
  readonly name: string;
  readonly config: LlamaGenConfig;
  readonly vqConfig: VqConfig;
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
      readonly loader: GpuLoader;
      readonly vqLoader: GpuLoader;
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
    this.kvDtype = dtype;
    this.imageTokens = { first: 0, count: config.vocabulary };
    this.patch = 2 ** (vqConfig.multipliers.length - 1);
    this.defaults = config.sampling;
  }

  /** Loads both checkpoints onto the GPU, a slice at a time. Throws FormatError for a checkpoint of another model. */
  static async load(runtime: Runtime, gpt: Checkpoint, vq: Checkpoint, options: LlamaGenOptions): Promise<LlamaGen> {
    const dtype = options.dtype ?? 'f16';
    const loader = new GpuLoader(runtime, new Weights(gpt, GPT_IGNORED, options), dtype);
    const vqLoader = new GpuLoader(runtime, new Weights(vq, VQ_IGNORED, options), dtype);
    try {
      const transformer = await loadTransformer(loader, options.config);
      const condition = await loadCondition(loader, options.config);
      loader.weights.finish();
      const decoder = await loadVqDecoder(vqLoader, options.vqConfig);
      vqLoader.weights.finish();
      await runtime.settled();
      return new LlamaGen(runtime, options, { transformer, condition, vq: decoder, loader, vqLoader });
    } catch (error) {
      loader.dispose();
      vqLoader.dispose();
      throw error;
    }
  }

  grid(): LineGrid {
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
    this.weights.loader.dispose();
    this.weights.vqLoader.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
