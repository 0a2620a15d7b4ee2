/** JSON of unknown form, looked into one field at a time. */

import { FormatError } from '../../../tensor/errors.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

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
