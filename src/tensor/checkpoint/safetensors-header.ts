/**
 * The JSON at the head of a safetensors file, read by its own grammar rather than as any JSON: a flat object whose
 * values have one of two forms. So a duplicate key is seen, depth cannot grow, and no key meets a prototype.
 */

import { FormatError } from '../errors.ts';
import { expectWithin } from '../limits.ts';

/** An entry as written, nothing but its form checked; offsets count from the end of the header. */
export interface HeaderEntry {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

export interface SafetensorsHeader {
  readonly entries: ReadonlyMap<string, HeaderEntry>;
  readonly metadata: ReadonlyMap<string, string>;
}

/** Reads the header's text. Throws FormatError with the character's position. */
export function parseHeader(place: string, text: string): SafetensorsHeader {
  const cursor = new Cursor(place, text);
  const entries = new Map<string, HeaderEntry>();
  let metadata: ReadonlyMap<string, string> = new Map();
  let hasMetadata = false;
  cursor.object((name) => {
    if (entries.has(name) || (name === '__metadata__' && hasMetadata)) {
      throw cursor.error('each name once', `${JSON.stringify(name)} again`);
    }
    if (name === '__metadata__') {
      hasMetadata = true;
      metadata = cursor.strings();
    } else {
      entries.set(name, readEntry(cursor, name));
      expectWithin(place, 'tensors', entries.size);
    }
  });
  cursor.end();
  return { entries, metadata };
}

function readEntry(cursor: Cursor, name: string): HeaderEntry {
  let dtype: string | undefined;
  let shape: number[] | undefined;
  let offsets: number[] | undefined;
  cursor.object((key) => {
    if (key === 'dtype' && dtype === undefined) dtype = cursor.string();
    else if (key === 'shape' && !shape) shape = cursor.numbers();
    else if (key === 'data_offsets' && !offsets) offsets = cursor.numbers();
    else throw cursor.error('dtype, shape and data_offsets, once each', `${JSON.stringify(key)} in ${name}`);
  });
  const [begin, end] = offsets ?? [];
  if (dtype === undefined || !shape || offsets?.length !== 2 || begin === undefined || end === undefined) {
    throw cursor.error('dtype, shape and two data_offsets', `${name} without them`);
  }
  return { name, dtype, shape, begin, end };
}

/** Digits of the largest safe integer: what follows is unexpected. */
const MOST_DIGITS = 16;

/** Characters of a string that stand for themselves: all of most names. */
const PLAIN = /[ !#-[\]-\uffff]*/y;
const SPACE = /[ \t\n\r]*/y;

/** A place in the text. Every method reads one thing and the spaces before it. */
class Cursor {
  #at = 0;

  constructor(
    private readonly place: string,
    private readonly text: string,
  ) {}

  error(expected: string, got: string): FormatError {
    return new FormatError(`${this.place}: expected ${expected}, got ${got} at character ${this.#at}`);
  }

  /** `{"key": value, ...}`; `readValue` is called where the value of the key begins. */
  object(readValue: (key: string) => void): void {
    this.#list('{', '}', () => {
      const key = this.string();
      if (!this.#take(':')) throw this.#unexpected('a colon');
      readValue(key);
    });
  }

  strings(): Map<string, string> {
    const found = new Map<string, string>();
    this.object((key) => {
      if (found.has(key)) throw this.error('each key once', `${JSON.stringify(key)} again`);
      found.set(key, this.string());
      expectWithin(this.place, 'metadataEntries', found.size);
    });
    return found;
  }

  numbers(): number[] {
    const found: number[] = [];
    this.#list('[', ']', () => {
      found.push(this.#number());
      expectWithin(this.place, 'rank', found.length);
    });
    return found;
  }

  string(): string {
    if (!this.#take('"')) throw this.#unexpected('a string');
    const begin = this.#at - 1;
    PLAIN.lastIndex = this.#at;
    PLAIN.test(this.text);
    if (this.text[PLAIN.lastIndex] === '"') {
      this.#at = PLAIN.lastIndex + 1;
      return this.text.slice(begin + 1, PLAIN.lastIndex);
    }
    while (this.#at < this.text.length && this.text[this.#at] !== '"') this.#at += this.text[this.#at] === '\\' ? 2 : 1;
    this.#at++;
    try {
      return JSON.parse(this.text.slice(begin, this.#at));
    } catch {
      throw this.error('a string', 'one that is unfinished, or has a bad escape or a control character, and ends');
    }
  }

  end(): void {
    this.#skipSpace();
    if (this.#at < this.text.length) throw this.#unexpected('the end of the header');
  }

  #number(): number {
    this.#skipSpace();
    const begin = this.#at;
    let value = 0;
    // by hand: a match of a pattern is an object, and a header has half a million numbers
    while (this.#at < begin + MOST_DIGITS) {
      const digit = this.text.charCodeAt(this.#at) - 48;
      if (!(digit >= 0 && digit <= 9)) break; // nor NaN, after the end
      value = 10 * value + digit;
      this.#at++;
      if (value === 0) break; // nothing follows a leading 0
    }
    if (this.#at === begin) throw this.#unexpected('a whole number');
    if (!Number.isSafeInteger(value)) throw this.error('a number below 2^53', 'a larger one that ends');
    return value;
  }

  #list(open: string, close: string, readItem: () => void): void {
    if (!this.#take(open)) throw this.#unexpected(open);
    if (this.#take(close)) return;
    do readItem();
    while (this.#take(','));
    if (!this.#take(close)) throw this.#unexpected(`${close} or a comma`);
  }

  #take(token: string): boolean {
    this.#skipSpace();
    if (this.text[this.#at] !== token) return false;
    this.#at++;
    return true;
  }

  #skipSpace(): void {
    if (this.text.charCodeAt(this.#at) > 32) return; // as nearly always
    SPACE.lastIndex = this.#at;
    SPACE.test(this.text);
    this.#at = SPACE.lastIndex;
  }

  #unexpected(expected: string): FormatError {
    const character = this.text[this.#at];
    return this.error(expected, character === undefined ? 'the end of the header' : JSON.stringify(character));
  }
}
