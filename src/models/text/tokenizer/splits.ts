/**
 * Rewrites the pre-tokenizers of a tokenizer.json so that the JavaScript library splits text as the Rust library does.
 *
 * The JavaScript library (0.2.0) differs from the Rust one (0.23) in several pre-tokenizers: it splits isolated punctuation
 * in runs, knows only ASCII digits, uses JavaScript's classes of white space and letters, and does not split by Metaspace.
 * Its `Split` by regular expression is exact, so each of these is rewritten as a `Split`.
 */

import { FormatError } from '../../../tensor/errors.ts';
import { describe, expectArray, expectObject, expectText, type JsonObject } from './json.ts';

/** Source: tokenizers, pre_tokenizers/byte_level.rs. */
const WORDS = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
/** Rust's is_ascii_punctuation, and all of Unicode's. */
const PUNCTUATION = '[\\p{P}!-/:-@\\[-`{-~]';

/** The rewritten pre-tokenizer. Throws FormatError, naming the place, for a type or behavior that no family's tokenizer uses. */
export function exactSplits(place: string, value: unknown): JsonObject | null {
  if (value === null || value === undefined) return null;
  const config = expectObject(place, value);
  switch (config.type) {
    case 'Sequence': {
      const parts = expectArray(`${place}.pretokenizers`, config.pretokenizers);
      return sequence(parts.map((part, i) => exactSplits(`${place}.pretokenizers[${i}]`, part)));
    }
    case 'Split':
      return split(behavior(place, config.behavior), pattern(`${place}.pattern`, config.pattern), config.invert);
    case 'Digits':
      return split('Isolated', config.individual_digits === true ? '\\p{N}' : '\\p{N}+');
    case 'Punctuation':
      if (config.behavior === 'Contiguous') return split('Isolated', `${PUNCTUATION}+`);
      return split(behavior(place, config.behavior ?? 'Isolated'), PUNCTUATION);
    case 'WhitespaceSplit':
      return split('Removed', '\\s+');
    case 'ByteLevel':
      if (config.use_regex === false || config.add_prefix_space === true) return config;
      return sequence([split('Isolated', WORDS), { ...config, use_regex: false }]);
    case 'Metaspace':
      return metaspace(place, config);
    default:
      throw new FormatError(`${place}.type: expected a splitter of the three families, got ${describe(config.type)}`);
  }
}

/** The source of a regular expression that matches a `{ Regex }` or `{ String }` pattern. Throws FormatError for others. */
export function pattern(place: string, value: unknown): string {
  const config = expectObject(place, value);
  if (config.Regex !== undefined) return expectText(`${place}.Regex`, config.Regex);
  return escaped(expectText(`${place}.String`, config.String));
}

function metaspace(place: string, config: JsonObject): JsonObject {
  const mark = expectText(`${place}.replacement`, config.replacement ?? '▁');
  const scheme = config.prepend_scheme ?? (config.add_prefix_space === false ? 'never' : 'always');
  const marks = { type: 'Metaspace', replacement: mark, prepend_scheme: scheme };
  if (config.split === false) return marks;
  return sequence([marks, split('Isolated', `${escaped(mark)}[^${escaped(mark)}]*`)]);
}

/** `invert` swaps what matches and what does not; that matters only where one of the two is removed. */
function split(behavior: 'Isolated' | 'Removed', regex: string, invert: unknown = false): JsonObject {
  return { type: 'Split', pattern: { Regex: regex }, behavior, invert: behavior === 'Removed' && invert === true };
}

function behavior(place: string, value: unknown): 'Isolated' | 'Removed' {
  if (value === 'Isolated' || value === 'Removed') return value;
  throw new FormatError(`${place}.behavior: expected Isolated or Removed, got ${describe(value)}`);
}

function sequence(parts: readonly (JsonObject | null)[]): JsonObject {
  return { type: 'Sequence', pretokenizers: parts };
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|\-/]/g, '\\$&');
}
