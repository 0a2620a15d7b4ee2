/** JSON of unknown form, looked into one field at a time. */

import { FormatError } from '../../../tensor/errors.ts';
import { isObject, type JsonObject } from '../../../tensor/source/json.ts';

export type { JsonObject };
export { isObject };

/** Throws FormatError unless `value` is an object. */
export function expectObject(place: string, value: unknown): JsonObject {
  if (isObject(value)) return value;
  throw new FormatError(`${place}: expected an object, got ${describe(value)}; is it a tokenizer.json?`);
}

/** Throws FormatError unless `value` is an array. */
export function expectArray(place: string, value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw new FormatError(`${place}: expected an array, got ${describe(value)}; is it a tokenizer.json?`);
}

/** Throws FormatError unless `value` is a text. */
export function expectText(place: string, value: unknown): string {
  if (typeof value === 'string') return value;
  throw new FormatError(`${place}: expected a text, got ${describe(value)}; is it a tokenizer.json?`);
}

/** A value in few characters. */
export function describe(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
