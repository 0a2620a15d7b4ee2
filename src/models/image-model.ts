/**
 * What every family offers, and what it asks of the memory it is given.
 *
 * Shape letters, here and everywhere: `B` images, `R` rows (B, doubled by guidance: conditional first), `T` tokens fed
 * at once, `C` model width, `H` query heads, `G` KV heads, `D` head dim, `V` vocabulary, `N` tokens of an image, `W` line
 * length, `S` slots.
 */

import type { Rotation } from '../kernels/attention/slots.ts';
import type { Runtime } from '../tensor/runtime.ts';
import type { Tensor } from '../tensor/tensor.ts';

export type { Rotation };

/** The image as the model sees it: lines of tokens in raster order. */
export interface LineGrid {
  readonly lines: number;
  /** Tokens of a line, its end included. */
  readonly lineLength: number;
  /** Id of the token that ends every line and is no part of the picture; absent where lines hold the picture alone. */
  readonly lineEnd?: number;
}

/** Sizes that a store of keys and values depends on. */
export interface Geometry {
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

/** How a model draws where a caller does not say. */
export interface SamplingDefaults {
  readonly guidanceScale: number;
  readonly topK: number;
  readonly temperature: number;
  readonly topP: number;
}

/** What a model asks of whatever remembers keys and values. */
export interface Memory {
  /** qkv [R · T, (H + 2 G) · D], not yet rotated → attention output [R · T, H · D]. */
  attend(layer: number, qkv: Tensor, rotation: Rotation): Tensor;
}

/** What an image is drawn from, on the GPU: class tokens, a caption or a prompt. */
export interface Condition {
  /** Images B, and rows R of every step. */
  readonly images: number;
  readonly rows: number;
  /** Condition tokens T of a row, padding included. */
  readonly promptLength: number;
  /** Padding before the condition of each row, which nothing attends to; [R]. */
  readonly leftPadding: readonly number[];
  /** What is subtracted from a token's place to give its position, 0 at least; [R]. */
  readonly positionOffsets: readonly number[];
  /** Records the embeddings [R · T, C]. */
  embeddings(): Tensor;
  dispose(): void;
  [Symbol.dispose](): void;
}

/** A family, and the configuration that its model has. */
export interface ModelOrigin {
  readonly family: string;
  readonly config: object;
}

/** A model of some family at some size, with its weights on the GPU. */
export interface ImageModel<Prompt> {
  readonly name: string;
  /** Of a model without a released name: what `loadModel` was asked for. */
  readonly origin?: ModelOrigin;
  readonly runtime: Runtime;
  readonly geometry: Geometry;
  /** Storage of keys and values, where a cache asks for no other. */
  readonly kvDtype: 'f32' | 'f16';
  /** Ids that may be drawn: logits are of these alone. An id less the first is the VQ tokenizer's code. */
  readonly imageTokens: { readonly first: number; readonly count: number };
  /** Pixels of a side of one token. */
  readonly patch: number;
  /** How the reference makes bytes of pixels. */
  readonly rounding: 'nearest' | 'truncate';
  /** Sampling of the reference's own script, for what a caller leaves out. */
  readonly defaults: SamplingDefaults;
  /** The grid of what the prompt asks for. Throws OptionError for a size that the model does not draw. */
  grid(prompt: Prompt): LineGrid;
  /** Validates a prompt and puts it on the GPU; with guidance the rows double. Throws OptionError. */
  condition(prompt: Prompt, guided: boolean): Condition;
  /** tokens u32 [B] → embeddings [rows, C]. */
  embed(tokens: Tensor, rows: number): Tensor;
  /** x [R · T, C] → logits of the last token of each row, [R, V]. */
  logits(x: Tensor, memory: Memory, tokens: number): Tensor;
  /** Codes u32 [height · width / patch²] of one image → pixels in about [-1, 1], f32 [height, width, 3]. */
  decode(codes: Tensor, grid: LineGrid): Tensor;
  dispose(): void;
  [Symbol.dispose](): void;
}
