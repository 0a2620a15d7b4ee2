/** JSON from outside: measured before it is made into values. */

import { FormatError } from '../errors.ts';
import { expectWithin } from '../limits.ts';
import { show } from '../show.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Throws FormatError for what is no JSON, is not UTF-8, is nested too deep, or has too many values. */
export function parseJson(place: string, json: string | Uint8Array, expected = 'JSON'): unknown {
  const text = typeof json === 'string' ? json : decodeText(place, json);
  measure(place, text);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new FormatError(`${place}: expected ${expected}, got ${show(text)}; the file is damaged, or another one`, {
      cause,
    });
  }
}

/** Throws FormatError for bytes that are no UTF-8. */
export function decodeText(place: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new FormatError(`${place}: expected UTF-8, got other bytes; the file is damaged`, { cause });
  }
}

/** One pass over the brackets and commas outside of strings. */
function measure(place: string, text: string): void {
  const mark = /["[\]{},]/g;
  let depth = 0;
  let values = 1;
  for (let match = mark.exec(text); match; match = mark.exec(text)) {
    switch (match[0]) {
      case '"':
        mark.lastIndex = stringEnd(text, mark.lastIndex);
        break;
      case ',':
        expectWithin(place, 'jsonValues', ++values);
        break;
      case '[':
      case '{':
        expectWithin(place, 'jsonValues', ++values);
        expectWithin(place, 'jsonDepth', ++depth);
        break;
      default:
        depth--;
    }
  }
}

/** Behind the quote that ends the string: the first with an even number of backslashes before it. */
function stringEnd(text: string, from: number): number {
  for (let quote = text.indexOf('"', from); quote >= 0; quote = text.indexOf('"', quote + 1)) {
    let backslashes = 0;
    while (text[quote - 1 - backslashes] === '\\') backslashes++;
    if (backslashes % 2 === 0) return quote + 1;
  }
  return text.length;
}
