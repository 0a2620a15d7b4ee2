/** Janus-Pro as an `ImageModel`. Source: deepseek-ai/Janus, generation_inference.py. */

import { floatDtype } from '../../kernels/linear/weight.ts';
import type { Checkpoint } from '../../tensor/checkpoint/checkpoint.ts';
import { Weights } from '../../tensor/checkpoint/weights.ts';
import type { Dtype } from '../../tensor/dtype.ts';
import { OptionError } from '../../tensor/errors.ts';
import type { Runtime } from '../../tensor/runtime.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { GpuLoader } from '../gpu-loader.ts';
import type { Condition, Geometry, ImageModel, LineGrid, Memory } from '../image-model.ts';
import { forward } from '../parts/transformer.ts';
import { decode } from '../parts/vq/decoder.ts';
import type { ModelOptions } from '../preset.ts';
import { textCondition } from '../text/condition.ts';
import { expectSize, promptIds, type TextPrompt } from '../text/prompt.ts';
import type { TextTokenizer } from '../text/tokenizer/tokenizer.ts';
import { JANUS_SAMPLING, type JanusConfig } from './config.ts';
import { loadJanus } from './load.ts';
import { embed, type JanusLayers, logits } from './model.ts';
import { JANUS_FLOAT, JANUS_IGNORED, withOfficialNames } from './names.ts';
import { janusTemplate, padToken } from './tokens.ts';

export interface JanusOptions extends ModelOptions {
  readonly name: string;
  readonly config: JanusConfig;
}

export class Janus implements ImageModel<TextPrompt> {
  readonly name: string;
  readonly geometry: Geometry;
  readonly kvDtype: Dtype;
  readonly imageTokens: ImageModel<TextPrompt>['imageTokens'];
  readonly patch: number;
  readonly rounding = 'truncate';
  readonly defaults = JANUS_SAMPLING;
  readonly #config: JanusConfig;
  readonly #tokenizer: TextTokenizer | undefined;
  readonly #pad: number | undefined;

  private constructor(
    readonly runtime: Runtime,
    { name, config, dtype = 'f16', tokenizer }: JanusOptions,
    pad: number | undefined,
    private readonly layers: JanusLayers,
    private readonly loader: GpuLoader,
  ) {
    const { layers: count, heads, kvHeads, headDim, vq } = config;
    this.name = name;
    this.geometry = { layers: count, heads, kvHeads, headDim };
    this.kvDtype = floatDtype(dtype);
    this.imageTokens = { first: 0, count: vq.codebook.count };
    this.patch = 2 ** (vq.multipliers.length - 1);
    this.#config = config;
    this.#tokenizer = tokenizer;
    this.#pad = pad;
  }

  /** Loads the one checkpoint, of either layout, a slice at a time. Throws FormatError for one, or a tokenizer, of another model. */
  static async load(runtime: Runtime, checkpoint: Checkpoint, options: JanusOptions): Promise<Janus> {
    const { config, tokenizer } = options;
    const pad = tokenizer ? padToken(tokenizer, config.vocabulary) : config.padToken;
    const weights = new Weights(withOfficialNames(checkpoint), JANUS_IGNORED, options);
    const loader = new GpuLoader(runtime, weights, options.dtype ?? 'f16', JANUS_FLOAT);
    try {
      const layers = await loadJanus(loader, config);
      weights.finish();
      await runtime.settled();
      return new Janus(runtime, options, pad, layers, loader);
    } catch (error) {
      loader.dispose();
      throw error;
    }
  }

  grid(prompt: TextPrompt): LineGrid {
    const { side } = this.#config;
    expectSize(this.name, prompt, side * this.patch);
    return { lines: side, lineLength: side };
  }

  /**
   * The unconditional row is the prompt with every token but the first and last replaced by padding, which is attended to
   * like any token. Source: generation_inference.py.
   */
  condition(prompt: TextPrompt, guided: boolean): Condition {
    const { vocabulary, mostPromptTokens: mostTokens } = this.#config;
    const tokenizer = this.#tokenizer;
    const encode = tokenizer && ((text: string) => tokenizer.encode(janusTemplate(text)));
    const rows = promptIds(prompt, { encode, vocabulary, mostTokens });
    if (!guided) return textCondition(this.runtime, this.layers.text, rows.length, rows);
    const pad = this.#expectPad();
    const unconditional = rows.map((ids) => ids.map((id, i) => (i === 0 || i === ids.length - 1 ? id : pad)));
    return textCondition(this.runtime, this.layers.text, rows.length, [...rows, ...unconditional]);
  }

  embed(tokens: Tensor, rows: number): Tensor {
    return embed(this.layers, tokens, rows);
  }

  logits(x: Tensor, memory: Memory, tokens: number): Tensor {
    return logits(this.layers, forward(this.layers.transformer, x, memory), tokens);
  }

  decode(codes: Tensor, grid: LineGrid): Tensor {
    return decode(this.layers.vq, codes, grid);
  }

  dispose(): void {
    this.loader.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #expectPad(): number {
    if (this.#pad !== undefined) return this.#pad;
    throw new OptionError(
      `guidanceScale: expected at most 1 without a tokenizer, which tells the pad token; load ${this.name} with its tokenizer.json`,
    );
  }
}
