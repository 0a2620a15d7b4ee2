/** What a pickle of a state dict can hold. None of it is code, and no name in it becomes the key of a plain object. */

import type { Shape } from '../../shape.ts';
import type { StoredDtype } from '../stored-tensor.ts';

export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | PickleTuple
  | PickleList
  | PickleDict
  | PickleGlobal
  | PickleInstance
  | TorchStorage
  | TorchTensor;

export interface PickleTuple {
  readonly kind: 'tuple';
  readonly items: readonly PickleValue[];
}

export interface PickleList {
  readonly kind: 'list';
  readonly items: PickleValue[];
}

export interface PickleDict {
  readonly kind: 'dict';
  /** True of an OrderedDict: only that may have attributes, which are dropped. */
  readonly isOrdered: boolean;
  /** `NO_ENTRIES` until there is one: a Map costs some hundred times the byte that asks for a dict. */
  entries: ReadonlyMap<PickleValue, PickleValue>;
}

export const NO_ENTRIES: ReadonlyMap<PickleValue, PickleValue> = new Map();

/** A name from the list of those allowed; nothing is imported. */
export interface PickleGlobal {
  readonly kind: 'global';
  readonly name: string;
}

/** An object of a tolerated class, without its contents. */
export interface PickleInstance {
  readonly kind: 'instance';
  readonly name: string;
  /** Whether it takes any state: nothing is made of it. A namespace takes a dict alone. */
  readonly isInert: boolean;
}

export interface TorchStorage {
  readonly kind: 'storage';
  readonly dtype: StoredDtype;
  /** Names the record `data/<key>`. */
  readonly key: string;
  readonly elements: number;
}

/** A view into a storage, as written: nothing but the types of its parts is checked. Offset and strides in elements. */
export interface TorchTensor {
  readonly kind: 'tensor';
  readonly storage: TorchStorage;
  readonly offset: number;
  readonly shape: Shape;
  readonly strides: readonly number[];
}

/** A few words for an error; the same length for values of any size. */
export function describeValue(value: PickleValue | undefined): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'string') return value.length > 40 ? 'a long string' : JSON.stringify(value);
  if (value === null || typeof value !== 'object') return String(value);
  if (value.kind === 'global') return value.name;
  return `a ${value.kind}`;
}

type Kind = Extract<PickleValue, { kind: string }>['kind'];

/** Whether a value is one of that kind. */
export function isKind<K extends Kind>(
  value: PickleValue | undefined,
  kind: K,
): value is Extract<PickleValue, { kind: K }> {
  return typeof value === 'object' && value !== null && value.kind === kind;
}
