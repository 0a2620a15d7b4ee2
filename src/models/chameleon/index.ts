/** Lumina-mGPT as an `ImageModel`. Source: Alpha-VLLM/Lumina-mGPT, lumina_mgpt/inference_solver.py. */

import { floatDtype } from '../../kernels/linear/weight.ts';
import type { Checkpoint } from '../../tensor/checkpoint/checkpoint.ts';
import { Weights } from '../../tensor/checkpoint/weights.ts';
import type { Dtype } from '../../tensor/dtype.ts';
import type { Runtime } from '../../tensor/runtime.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { GpuLoader } from '../gpu-loader.ts';
import type { Condition, Geometry, ImageModel, LineGrid, Memory } from '../image-model.ts';
import { forward } from '../parts/transformer.ts';
import { VQ_FLOAT, VQ_IGNORED } from '../parts/vq/config.ts';
import { decode, type VqDecoder } from '../parts/vq/decoder.ts';
import { loadVqDecoder } from '../parts/vq/load.ts';
import type { ModelOptions } from '../preset.ts';
import { textCondition } from '../text/condition.ts';
import { type ImageSize, promptIds, type TextPrompt } from '../text/prompt.ts';
import type { TextTokenizer } from '../text/tokenizer/tokenizer.ts';
import { CHAMELEON_SAMPLING, type ChameleonConfig } from './config.ts';
import { CHAMELEON_FLOAT, CHAMELEON_IGNORED, loadChameleon } from './load.ts';
import { type ChameleonLayers, embed, logits } from './model.ts';
import { imageGrids } from './size.ts';
import { chameleonText, expectChameleonTokens } from './tokens.ts';

export interface ChameleonOptions extends ModelOptions {
  readonly name: string;
  readonly config: ChameleonConfig;
}

/** Tokens of a side of a size grid. */
const GRID_TOKENS = 2;

export class Chameleon implements ImageModel<TextPrompt> {
  readonly name: string;
  readonly geometry: Geometry;
  readonly kvDtype: Dtype;
  readonly imageTokens: ImageModel<TextPrompt>['imageTokens'];
  readonly patch: number;
  readonly rounding = 'truncate';
  readonly defaults = CHAMELEON_SAMPLING;
  readonly #config: ChameleonConfig;
  readonly #tokenizer: TextTokenizer | undefined;

  private constructor(
    readonly runtime: Runtime,
    { name, config, dtype = 'f16', tokenizer }: ChameleonOptions,
    private readonly weights: {
      readonly layers: ChameleonLayers;
      readonly vq: VqDecoder;
      readonly loaders: readonly GpuLoader[];
    },
  ) {
    const { layers, heads, kvHeads, headDim, vq, tokens } = config;
    this.name = name;
    this.geometry = { layers, heads, kvHeads, headDim };
    this.kvDtype = floatDtype(dtype);
    this.imageTokens = { first: tokens.firstCode, count: vq.codebook.count };
    this.patch = 2 ** (vq.multipliers.length - 1);
    this.#config = config;
    this.#tokenizer = tokenizer;
  }

  /**
   * Loads the transformer and Chameleon's VQGAN, a slice at a time. Throws FormatError for checkpoints of another model,
   * and, before anything is loaded, for a tokenizer of another.
   */
  static async load(
    runtime: Runtime,
    checkpoint: Checkpoint,
    vqgan: Checkpoint,
    options: ChameleonOptions,
  ): Promise<Chameleon> {
    const { config, tokenizer, dtype = 'f16' } = options;
    const { vq, grids, tokens } = config;
    if (tokenizer) expectChameleonTokens(tokenizer, tokens, vq.codebook.count, 2 * grids);
    const loader = new GpuLoader(runtime, new Weights(checkpoint, CHAMELEON_IGNORED, options), dtype, CHAMELEON_FLOAT);
    const vqLoader = new GpuLoader(runtime, new Weights(vqgan, VQ_IGNORED, options), dtype, VQ_FLOAT);
    const loaders = [loader, vqLoader];
    try {
      const layers = await loadChameleon(loader, config);
      const decoder = await loadVqDecoder(vqLoader, vq);
      for (const { weights } of loaders) weights.finish();
      await runtime.settled();
      return new Chameleon(runtime, options, { layers, vq: decoder, loaders });
    } catch (error) {
      for (const one of loaders) one.dispose();
      throw error;
    }
  }

  /** Lines of image tokens, each ended by a newline token; the token that ends the image is not drawn. */
  grid(prompt: TextPrompt): LineGrid {
    const { across, down } = this.#grids(prompt);
    return {
      lines: GRID_TOKENS * down,
      lineLength: GRID_TOKENS * across + 1,
      lineEnd: this.#config.tokens.newline,
    };
  }

  /**
   * Rows are the prompt, then image start and size, height first, which the reference lets the model say itself. The
   * unconditional row begins with the image start, and counts its positions from there.
   *
   * `promptTokens` are those of the text: begin token, words, end of turn.
   */
  condition(prompt: TextPrompt, guided: boolean): Condition {
    const { vocabulary, mostPromptTokens: mostTokens, tokens } = this.#config;
    const tokenizer = this.#tokenizer;
    const { across, down } = this.#grids(prompt);
    const pixels = GRID_TOKENS * this.patch;
    const encode = tokenizer && ((text: string) => chameleonText(tokenizer, text, across * pixels, down * pixels));
    const texts = promptIds(prompt, { encode, vocabulary, mostTokens });
    const start = [tokens.imageStart, tokens.size + down, tokens.size + across];
    const rows = texts.map((ids) => [...ids, ...start]);
    const unconditional = guided ? rows.map(() => start) : [];
    return textCondition(this.runtime, this.weights.layers.tokens, rows.length, [...rows, ...unconditional]);
  }

  embed(tokens: Tensor, rows: number): Tensor {
    return embed(this.weights.layers, tokens, rows);
  }

  logits(x: Tensor, memory: Memory, tokens: number): Tensor {
    const { layers } = this.weights;
    return logits(layers, forward(layers.transformer, x, memory), tokens);
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

  #grids(size: ImageSize) {
    return imageGrids(size, this.#config.grids, GRID_TOKENS * this.patch);
  }
}
