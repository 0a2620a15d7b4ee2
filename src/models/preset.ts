/** What is known of a model by its name alone: enough to plan a run, to recognize a checkpoint, and to load it. */

import type { MatrixDtype } from '../kernels/linear/weight.ts';
import type { Checkpoint } from '../tensor/checkpoint/checkpoint.ts';
import type { LoadOptions } from '../tensor/checkpoint/weights.ts';
import type { Runtime } from '../tensor/runtime.ts';
import type { Geometry, ImageModel, LineGrid } from './image-model.ts';
import type { LayerLoader } from './layer-loader.ts';
import type { LlamaGenPrompt } from './llamagen/condition.ts';
import type { VqConfig } from './parts/vq/config.ts';
import type { TextPrompt } from './text/prompt.ts';
import type { TextTokenizer } from './text/tokenizer/tokenizer.ts';

/** Whatever some family draws from; each refuses what is not its own. */
export type Prompt = LlamaGenPrompt | TextPrompt;

/** Checkpoints that models are loaded from: the transformer's, the VQ tokenizer's, the text encoder's. */
export type Part = 'checkpoint' | 'vq' | 'textEncoder';

export type Checkpoints = Readonly<Partial<Record<Part, Checkpoint>>>;

/** Storage of matrices. */
export type WeightDtype = MatrixDtype;

export interface ModelOptions extends LoadOptions {
  /**
   * Storage of matrices. Default f16. With `int8` and `int4` the matrices that a family does not keep in float are
   * quantized while they are loaded; tables, convolutions, keys and values are f16 then, as with `f16`.
   */
  readonly dtype?: WeightDtype;
  /** Reads prompts; without it a text model takes ids or features alone. */
  readonly tokenizer?: TextTokenizer;
}

/** A checkpoint that a model is loaded from. */
export interface PartFile {
  /** The file that the package ships. */
  readonly packaged?: string;
  /** Where it is looked for among the files of the transformer's checkpoint when a caller names none. */
  readonly beside?: readonly string[];
  /** The model draws without it, from ids or features. */
  readonly optional?: boolean;
}

export interface Preset {
  readonly name: string;
  /** Of the image that is drawn when a prompt asks for no other. */
  readonly grid: LineGrid;
  readonly geometry: Geometry;
  readonly width: number;
  /** Inner width of the MLP. */
  readonly intermediateSize: number;
  /** Logits of a token. */
  readonly vocabulary: number;
  readonly vq: VqConfig;
  /** Images are drawn from one of so many classes; absent: from text. */
  readonly classes?: number;
  /** Condition tokens of a row whose prompt has so many tokens of its own. */
  conditionTokens(promptTokens: number): number;
  readonly parts: Readonly<Partial<Record<Part, PartFile>>>;
  /** tokenizer.json that the package ships. */
  readonly packagedTokenizer?: string;
  /** Tensors that a part may hold and inference does not need, by official name. */
  ignored(part: Part): readonly RegExp[];
  /** The official name of a tensor of another layout that is read too; absent: there is none. */
  officialName?(name: string): string;
  /** A checkpoint of either layout under official names. */
  withOfficialNames?(checkpoint: Checkpoint): Checkpoint;
  /** Matrices of a part that are never quantized. */
  unquantized(part: Part): readonly RegExp[];
  /** Takes every tensor of a part. */
  take(part: Part, loader: LayerLoader): Promise<unknown>;
  /** Throws FormatError for a checkpoint of another model. The checkpoints stay the caller's. */
  load(runtime: Runtime, checkpoints: Checkpoints, options: ModelOptions): Promise<ImageModel<Prompt>>;
}
