/**
 * Rewrites the pre-tokenizers of a tokenizer.json so that the JavaScript library splits text as the Rust library does.
 *
 * The JavaScript library (0.2.0) differs from the Rust one (0.23) in several pre-tokenizers: it splits isolated punctuation
 * in runs, knows only ASCII digits, uses JavaScript's classes of white space and letters, and does not split by Metaspace.
 * Its `Split` by regular expression is exact, so each of these is rewritten as a `Split`.
 */

import { PreTokenizer, SequencePreTokenizer, SplitPreTokenizer } from '@huggingface/tokenizers';
import { FormatError } from '../../../tensor/errors.ts';
import { describe, expectArray, expectObject, expectText, type JsonObject } from './json.ts';
import { type Pattern, readPattern } from './pattern.ts';

/** Where a rewritten Split keeps the pattern of its file; the library never runs that one. */
const MATCHER = 'rasterline pattern';

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
      return {
        type: 'Split',
        pattern: { String: '' },
        [MATCHER]: readPattern(`${place}.pattern`, config.pattern),
        behavior: behavior(place, config.behavior),
        invert: config.invert === true,
      };
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

function metaspace(place: string, config: JsonObject): JsonObject {
  const mark = expectText(`${place}.replacement`, config.replacement ?? '▁');
  const scheme = config.prepend_scheme ?? (config.add_prefix_space === false ? 'never' : 'always');
  const marks = { type: 'Metaspace', replacement: mark, prepend_scheme: scheme };
  if (config.split === false) return marks;
  return sequence([marks, split('Isolated', `${escaped(mark)}[^${escaped(mark)}]*`)]);
}

/** By a pattern of ours, all of which are linear. */
function split(behavior: 'Isolated' | 'Removed', regex: string): JsonObject {
  return { type: 'Split', pattern: { Regex: regex }, behavior, invert: false };
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

/** The library's pre-tokenizer with the patterns of the file run by ours. */
export function withPatterns(splitter: PreTokenizer | null): PreTokenizer | null {
  if (splitter instanceof SequencePreTokenizer)
    splitter.tokenizers = splitter.tokenizers.map((part) => withPatterns(part));
  if (!(splitter instanceof SplitPreTokenizer)) return splitter;
  const { behavior, invert } = splitter.config;
  const matcher: unknown = Reflect.get(splitter.config, MATCHER);
  return matcher === undefined
    ? splitter
    : new PatternSplit(matcher as Pattern, behavior === 'Removed', invert === true);
}

/** What matches and what lies between, both kept unless one is removed: what matches, or with `isInverted` the rest. */
class PatternSplit extends PreTokenizer {
  constructor(
    private readonly pattern: Pattern,
    private readonly isRemoved: boolean,
    private readonly isInverted: boolean,
  ) {
    super();
  }

  override pre_tokenize_text(text: string): string[] {
    const pieces: string[] = [];
    let reached = 0;
    const keep = (end: number, isMatch: boolean) => {
      if (reached < end && !(this.isRemoved && isMatch !== this.isInverted)) pieces.push(text.slice(reached, end));
      reached = end;
    };
    for (const [start, end] of this.pattern.matches(text)) {
      keep(start, false);
      keep(end, true);
    }
    keep(text.length, false);
    return pieces;
  }
}
