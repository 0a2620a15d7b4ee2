/** What to draw, as the part of the address after `#` holds it, which a link shares. */

import { type CacheOptions, type FamilyModel, MODEL_NAMES as NAMES, type ModelName, type PolicyName, type Prompt } from 'rasterline';
import classes from '../../checkpoints/emoji/classes.json';

export interface Settings {
  readonly model: ModelName | typeof OWN;
  /** Of a model of another size: family and configuration, as JSON. */
  readonly configuration: string;
  /** Name or id of a class, or words. */
  readonly subject: string;
  readonly seed: number;
  readonly guidance: number;
  readonly policy: PolicyName;
  readonly budget: number;
  /** How keys and values are stored. */
  readonly kvDtype: KvDtype;
  readonly compare: boolean;
  /** Of models that are not in the page. */
  readonly checkpoint: string;
  readonly vq: string;
  /** Of models that read captions by an encoder of its own. */
  readonly textEncoder: string;
  readonly dtype: Dtype;
}

type Dtype = 'f16' | 'f32' | 'int8' | 'int4';
/** Floats as wide as the weights', or whole numbers of 8 bits. */
type KvDtype = 'floats' | 'int8';

/** The model that has no name: of a known family, at another size. */
export const OWN = 'another size';
export const POLICIES: readonly PolicyName[] = ['summary', 'line-ar', 'streaming', 'h2o', 'snapkv', 'r-kv', 'random'];
export const LEAST_LINES = 3;

/** What a setting is unless somebody says, and what it may be. */
interface Setting<T> {
  readonly usual: T;
  readonly expected: string;
  /** Undefined for a text that is none. */
  read(text: string): T | undefined;
}

const text = (usual: string): Setting<string> => ({ usual, expected: 'some text', read: (given) => given.trim() || undefined });
const number = (usual: number, from: number, to: number, pattern: RegExp, kind: string): Setting<number> => ({
  usual,
  expected: `${kind} from ${from} to ${to}`,
  read: (given) => (pattern.test(given) && Number(given) >= from && Number(given) <= to ? Number(given) : undefined),
});
const whole = (usual: number, from: number, to: number) => number(usual, from, to, /^\d{1,16}$/, 'a whole number');
const oneOf = <T extends string>(usual: T, among: readonly T[]): Setting<T> => ({
  usual,
  expected: `one of ${among.join(', ')}`,
  read: (given) => among.find((one) => one === given),
});

const SETTINGS: { readonly [Name in keyof Settings]: Setting<Settings[Name]> } = {
  model: oneOf<Settings['model']>('emoji', [...NAMES, OWN]),
  configuration: text(''),
  subject: text('cherries'),
  seed: whole(7, 0, Number.MAX_SAFE_INTEGER),
  guidance: number(2, 1, 20, /^\d+(\.\d+)?$/, 'a number'),
  policy: oneOf('summary', POLICIES),
  budget: whole(4, LEAST_LINES, 1024),
  kvDtype: oneOf<KvDtype>('floats', ['floats', 'int8']),
  compare: { usual: true, expected: 'true or false', read: (given) => (given === 'true' ? true : given === 'false' ? false : undefined) },
  checkpoint: text(''),
  vq: text(''),
  textEncoder: text(''),
  dtype: oneOf<Dtype>('f16', ['f16', 'int8', 'int4', 'f32']),
};

export const USUAL = Object.fromEntries(Object.entries(SETTINGS).map(([name, { usual }]) => [name, usual])) as unknown as Settings;

/** The settings of an address, and a sentence about each of its parts that cannot be followed. */
export function settingsOf(hash: string): { readonly settings: Settings; readonly wrong: readonly string[] } {
  const wrong: string[] = [];
  const found = new Map<string, Settings[keyof Settings]>();
  for (const [name, given] of new URLSearchParams(hash)) {
    const setting = Object.hasOwn(SETTINGS, name) ? SETTINGS[name as keyof Settings] : undefined;
    const value = setting?.read(given);
    if (!setting) wrong.push(`The link sets ‘${short(name)}’, which is no setting of this page.`);
    else if (found.has(name)) wrong.push(`The link sets ${name} twice: the first counts.`);
    else if (value === undefined) wrong.push(`The link sets ${name} to ‘${short(given)}’; it has to be ${setting.expected}.`);
    else found.set(name, value);
  }
  const settings = { ...USUAL, ...Object.fromEntries(found) };
  const idle = UNUSED.filter(({ names, isUsed }) => !isUsed(settings) && names.some((name) => found.has(name)));
  for (const { words } of idle) wrong.push(words);
  try {
    promptOf(settings);
  } catch (error) {
    wrong.push((error as Error).message);
  }
  return { settings: withoutUnused(settings), wrong };
}

/** Settings that only some models have. */
const UNUSED: readonly { readonly names: readonly (keyof Settings)[]; readonly words: string; isUsed(settings: Settings): boolean }[] = [
  {
    names: ['checkpoint', 'vq', 'dtype'],
    words: 'The link names files or weights, and its model is in this page: they are not used.',
    isUsed: ({ model }) => !isShipped(model),
  },
  {
    names: ['textEncoder'],
    words: 'The link names a text encoder, and its model has none of its own: it is not used.',
    isUsed: hasTextEncoder,
  },
  { names: ['configuration'], words: 'The link has a configuration, and its model has its own: it is not used.', isUsed: ({ model }) => model === OWN },
];

/** As they are where the model does not have them: a link and a gallery say nothing that is not so. */
export function withoutUnused(settings: Settings): Settings {
  const names = UNUSED.filter(({ isUsed }) => !isUsed(settings)).flatMap(({ names }) => names);
  return { ...settings, ...Object.fromEntries(names.map((name) => [name, USUAL[name]])) };
}

/** The address of this page with these settings. */
export function linkTo(settings: Settings): string {
  const changed = Object.entries(settings).filter(([name, value]) => name === 'seed' || value !== USUAL[name as keyof Settings]);
  return `${location.origin}${location.pathname}#${new URLSearchParams(changed.map(([name, value]) => [name, String(value)]))}`;
}

export function isShipped(model: Settings['model']): boolean {
  return model === 'emoji' || model === 'emoji-text';
}

/** As `loadModel` and `plan` take it, which check the configuration. */
export function modelOf({ model, configuration }: Pick<Settings, 'model' | 'configuration'>): ModelName | FamilyModel {
  if (model !== OWN) return model;
  try {
    return JSON.parse(configuration) as FamilyModel;
  } catch {
    throw new Error('Give the family and the configuration as JSON, such as { "family": "llamagen", "config": { "layers": 12, "heads": 12, "width": 768, "side": 16 } }.');
  }
}

/** Whether a model draws from words; otherwise from classes. */
export function usesWords(settings: Pick<Settings, 'model' | 'configuration'>): boolean {
  const { model } = settings;
  if (model !== OWN) return !/^emoji$|^llamagen-/.test(model) || hasTextEncoder(settings);
  const { family } = (modelOf(settings) ?? {}) as { readonly family?: unknown };
  return family !== 'llamagen' || hasTextEncoder(settings);
}

/** Whether a model reads captions by a text encoder whose files are its own. */
export function hasTextEncoder({ model, configuration }: Pick<Settings, 'model' | 'configuration'>): boolean {
  if (model !== OWN) return /^llamagen.*t2i/.test(model);
  try {
    const given = JSON.parse(configuration) as { readonly config?: { readonly condition?: { readonly kind?: unknown } } } | null;
    return given?.config?.condition?.kind === 'caption';
  } catch {
    return false; // told where the configuration is read
  }
}

export function promptOf(settings: Settings): Prompt {
  const { model, subject } = settings;
  if (usesWords(settings)) return { prompts: [subject] };
  const found = model === 'emoji' ? classes.find(({ short, name }) => short === subject || name === subject)?.id : undefined;
  const id = found ?? (/^\d{1,9}$/.test(subject) ? Number(subject) : undefined);
  const count = model === 'emoji' ? classes.length : undefined;
  if (id === undefined || (count !== undefined && id >= count))
    throw new Error(`There is no class ‘${short(subject)}’. ${model === 'emoji' ? 'Choose one from the list, or give its number' : 'Give its number'}.`);
  return { classes: [id] };
}

export function cacheOf({ policy, budget, kvDtype }: Settings): CacheOptions {
  return { policy, budgetLines: budget, ...(kvDtype === 'int8' && { kvDtype }) };
}

function short(given: string): string {
  return given.length > 60 ? `${given.slice(0, 60)}…` : given;
}
