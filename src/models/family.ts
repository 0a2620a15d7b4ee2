/** What a family says of its models: everything that loading, planning and telling checkpoints apart need to know. */

import type { MatrixDtype } from '../kernels/linear/weight.ts';
import type { Runtime } from '../tensor/runtime.ts';
import type { PromptKinds } from './check-prompt.ts';
import type { Geometry, ImageModel, LineGrid, ModelOrigin } from './image-model.ts';
import type { TransformersConfig } from './parts/transformers-config.ts';
import type { VqConfig } from './parts/vq/config.ts';
import type { TextTokenizer } from './text/tokenizer/tokenizer.ts';
import type { Loaded } from './weights/weight-spec.ts';

/** Storage of matrices. */
export type WeightDtype = MatrixDtype;

/** Checkpoints that models are loaded from: the transformer's, the VQ tokenizer's, the text encoder's. */
export type Part = 'checkpoint' | 'vq' | 'textEncoder';

/** A checkpoint as a model takes it. */
export interface PartDefinition<Tree = object> {
  /** A tree of weight specifications. */
  readonly weights: Tree;
  /** Tensors that it may hold and drawing does not need, by official name. */
  readonly ignored: readonly RegExp[];
  /** The official name of a tensor of another layout that is read too; absent: there is none. */
  readonly officialName?: (name: string) => string;
  /** The file that the package ships. */
  readonly packaged?: string;
  /** Where it is looked for among the files of the transformer's checkpoint when a caller names none. */
  readonly beside?: readonly string[];
  /** The model draws without it, from ids or features. */
  readonly optional?: boolean;
}

export type Parts = { readonly [Name in Part]?: PartDefinition };

export type LoadedParts<Defined extends Parts> = {
  readonly [Name in keyof Defined]: Defined[Name] extends PartDefinition<infer Tree> | undefined ? Loaded<Tree> : never;
};

/** A model of some family at some size, its weights still in the checkpoints. */
export interface ModelDefinition<Prompt, Defined extends Parts = Parts> {
  readonly name: string;
  /** See `ImageModel.origin`. */
  readonly origin?: ModelOrigin;
  /** Of the image that is drawn when a prompt asks for no other. */
  readonly grid: LineGrid;
  readonly geometry: Geometry;
  readonly width: number;
  /** Inner width of the MLP. */
  readonly intermediateSize: number;
  /** Ids that may be drawn: an id less the first is a code of the VQ tokenizer. */
  readonly imageTokens: ImageModel<Prompt>['imageTokens'];
  readonly vq: VqConfig;
  readonly promptKinds: PromptKinds;
  /** Images are drawn from one of so many classes; absent: from text. */
  readonly classes?: number;
  /** How the reference makes bytes of pixels. */
  readonly rounding: ImageModel<Prompt>['rounding'];
  /** Sampling of the reference's own script, for what a caller leaves out. */
  readonly defaults: ImageModel<Prompt>['defaults'];
  /** Condition tokens of a row whose prompt has so many tokens of its own. */
  conditionTokens(promptTokens: number): number;
  readonly parts: Defined;
  /** tokenizer.json that the package ships. */
  readonly packagedTokenizer?: string;
  /** Throws FormatError for the tokenizer of another model. */
  expectTokenizer?(tokenizer: TextTokenizer): void;
  /** The model itself, as functions of its loaded layers, which all but `condition` only record. Its code comes when it is asked for. */
  model(layers: LoadedParts<Defined>, context: ModelContext): ModelFunctions<Prompt> | Promise<ModelFunctions<Prompt>>;
}

export interface ModelContext {
  readonly runtime: Runtime;
  /** Reads prompts; without it a text model takes ids or features alone. */
  readonly tokenizer: TextTokenizer | undefined;
}

export type ModelFunctions<Prompt> = Pick<ImageModel<Prompt>, 'grid' | 'condition' | 'embed' | 'logits' | 'decode'>;

/** A family is one of these, and its line in the registry. */
export interface Family<Prompt, Options> {
  /** Released sizes by name. */
  readonly presets: Readonly<Record<string, Preset<Prompt>>>;
  /** A model of any size. Throws OptionError for options that it does not know, by name. */
  define(name: string, options: Options): ModelDefinition<Prompt>;
  /** What the config.json of a checkpoint in the layout of `transformers` says. */
  readonly fromTransformers?: (config: TransformersConfig) => object;
}

/** Defines the model of that name. */
export type Preset<Prompt> = (name: string, overrides?: PresetOverrides) => ModelDefinition<Prompt>;

export interface PresetOverrides {
  /** Name of other sizes of the VQ tokenizer. */
  readonly vq?: string;
}

/** A released size: the options of a family's `define`. */
export function presetOf<Prompt, Options extends object>(
  define: (name: string, options: Options) => ModelDefinition<Prompt>,
  options: Options,
): Preset<Prompt> {
  return (name, overrides) => define(name, { ...options, ...overrides });
}

/** A definition for those who need not know its layers. */
export function defineModel<Prompt, Defined extends Parts>(
  definition: ModelDefinition<Prompt, Defined>,
): ModelDefinition<Prompt> {
  return definition;
}

/** Pixels of a side of one token. */
export function patchOf({ multipliers }: VqConfig): number {
  return 2 ** (multipliers.length - 1);
}
