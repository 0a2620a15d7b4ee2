/** Every model by name. */

import { oneOf, required, text } from '../tensor/checks.ts';
import { OptionError } from '../tensor/errors.ts';
import { checkOptions, checkValue, nearest, type OptionTable } from '../tensor/options.ts';
import { chameleon } from './chameleon/family.ts';
import type { Family, ModelDefinition, Preset } from './family.ts';
import { janus } from './janus/family.ts';
import { llamagen } from './llamagen/family.ts';
import type { TransformersConfig } from './parts/transformers-config.ts';

/** A new family is its folder and its line here. */
const FAMILIES = {
  llamagen,
  janus,
  chameleon,
} as const;

type Families = typeof FAMILIES;
export type FamilyName = keyof Families;

type Presets = { readonly [Name in FamilyName]: Families[Name]['presets'] };
type PromptFrom<Define> = Define extends (...options: never) => ModelDefinition<infer Prompt> ? Prompt : never;

/** Names of the released models, and of those that ship with this package. */
export type ModelName = { [Name in FamilyName]: keyof Presets[Name] }[FamilyName];

/** A model of a family at any size: a fine-tune, another depth, another codebook. */
export type FamilyModel = {
  [Name in FamilyName]: {
    readonly family: Name;
    /** What is left out is as in the released models. Without it, it is read from the config.json beside the checkpoint. */
    readonly config?: Parameters<Families[Name]['define']>[1];
  };
}[FamilyName];

/** What a model draws from. */
export type PromptOf<Model> = Model extends { readonly family: infer Name extends FamilyName }
  ? PromptFrom<Families[Name]['define']>
  : { [Name in FamilyName]: Model extends keyof Presets[Name] ? PromptFrom<Presets[Name][Model]> : never }[FamilyName];

/** Whatever some model draws from; each refuses what is not its own. */
export type Prompt = PromptOf<ModelName>;

/** The model that ships with this package. */
export const EMBEDDED_MODEL = 'emoji';

/** The same, drawing from words. */
export const EMBEDDED_TEXT_MODEL = 'emoji-text';

const PRESETS: ReadonlyMap<string, Preset<Prompt>> = new Map(
  Object.values(FAMILIES).flatMap(({ presets }) => Object.entries<Preset<Prompt>>(presets)),
);

/** Every model by name. */
export const MODEL_NAMES = [...PRESETS.keys()] as readonly ModelName[]; // the keys of all presets

const FAMILY_MODEL: OptionTable<{ readonly family: FamilyName; readonly config?: object }> = {
  place: 'model',
  options: {
    family: required(oneOf(...(Object.keys(FAMILIES) as FamilyName[]))),
    config: { expected: 'an object', fits: (value): value is object => typeof value === 'object' && value !== null },
  },
};

/** A model as a caller names it. Throws OptionError for one that there is not. */
export function checkModel(model: unknown): ModelName | FamilyModel {
  return typeof model === 'object' ? (checkOptions(FAMILY_MODEL, model) as FamilyModel) : modelName(model as string);
}

/**
 * Throws OptionError for a name of no model.
 *
 * @example
 * const name = modelName('emoji'); // of type ModelName, or an OptionError
 */
export function modelName(name: string): ModelName {
  checkValue('model', text, name);
  if (PRESETS.has(name)) return name as ModelName;
  const near = nearest(name, MODEL_NAMES);
  const remedy = near === undefined ? '' : `; did you mean ${near}?`;
  throw new OptionError(`model: expected one of ${MODEL_NAMES.join(', ')}, got ${name}${remedy}`);
}

/**
 * What is known of a model without its weights. Throws OptionError for an unknown name, or a configuration that is wrong.
 *
 * @example
 * const { grid, geometry } = modelDefinition('llamagen-xl-384'); // 24 lines of 24 tokens; 36 layers
 * const { name } = modelDefinition({ family: "llamagen", config: { layers: 12, heads: 12, width: 768, side: 16 } });
 */
export function modelDefinition(
  given: string | FamilyModel,
  { vqPreset }: { readonly vqPreset?: string } = {},
): ModelDefinition<Prompt> {
  const model = checkModel(given);
  const overrides = vqPreset === undefined ? {} : { vq: vqPreset };
  if (typeof model === 'string') return PRESETS.get(model)!(model, overrides); // there is one of that name
  const { family } = model;
  const config = { ...model.config, ...overrides };
  return { ...FAMILIES[family].define(family, config as never), origin: { family, config } }; // refuses what is not its own
}

/** Reads a config.json. Throws OptionError for a family whose checkpoints bring none. */
export function configReader(name: FamilyName): (json: TransformersConfig) => FamilyModel {
  const { fromTransformers }: Family<Prompt, never> = FAMILIES[name];
  if (!fromTransformers)
    throw new OptionError(`config: expected one for ${name}, got none; its checkpoints do not tell their sizes`);
  // `define` refuses what is wrong in it
  return (json) => ({ family: name, config: fromTransformers(json) }) as FamilyModel;
}
