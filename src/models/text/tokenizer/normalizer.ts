/**
 * What a text becomes before it is split.
 *
 * The JavaScript library guesses at compiled character maps (it never reads them, and takes a joiner between emoji for a
 * space), so those are ours; it lets `$` in a replacement mean a group, and strips what JavaScript takes for white space.
 */

import { Normalizer, PrecompiledNormalizer, ReplaceNormalizer, SequenceNormalizer } from '@huggingface/tokenizers';
import { FormatError } from '../../../tensor/errors.ts';
import { expectWithin } from '../../../tensor/limits.ts';
import { type CharacterMap, characterMap } from './character-map.ts';
import { describe, expectArray, expectObject, expectText, type JsonObject } from './json.ts';
import { type Pattern, readPattern } from './pattern.ts';

/** Where a rewritten Replace keeps the pattern of its file; the library never runs that one. */
const MATCHER = 'rasterline pattern';

const PLAIN = ['NFC', 'NFD', 'NFKC', 'NFKD', 'Lowercase', 'Prepend'];

/** Throws FormatError, naming the place, for a kind that no family's tokenizer has. */
export function exactNormalizer(place: string, value: unknown): JsonObject | null {
  if (value === null || value === undefined) return null;
  const config = expectObject(place, value);
  const { type } = config;
  if (type === 'Sequence') {
    const parts = expectArray(`${place}.normalizers`, config.normalizers);
    return { type, normalizers: parts.map((part, i) => exactNormalizer(`${place}.normalizers[${i}]`, part)) };
  }
  if (type === 'Replace') {
    const content = replacement(`${place}.content`, config.content);
    const matcher = readPattern(`${place}.pattern`, config.pattern);
    return { type, pattern: { String: '' }, content, [MATCHER]: matcher };
  }
  if (type === 'Strip') {
    const ends = [
      ...(config.strip_left === true ? ['\\A\\s+'] : []),
      ...(config.strip_right === true ? ['\\s+\\z'] : []),
    ];
    return {
      type: 'Sequence',
      normalizers: ends.map((end) => ({ type: 'Replace', pattern: { Regex: end }, content: '' })),
    };
  }
  if (type === 'Precompiled') {
    expectText(`${place}.precompiled_charsmap`, config.precompiled_charsmap);
    return config;
  }
  if (type === 'Prepend') replacement(`${place}.prepend`, config.prepend);
  if (typeof type === 'string' && PLAIN.includes(type)) return config;
  throw new FormatError(`${place}.type: expected a normalizer of the three families, got ${describe(type)}`);
}

function replacement(place: string, value: unknown): string {
  const content = expectText(place, value);
  expectWithin(place, 'contentCharacters', content.length);
  return content;
}

/** The library's normalizer with its character maps and the patterns of the file run by ours. Throws FormatError for a damaged map. */
export function withCharacterMaps(place: string, normalizer: Normalizer | null): Normalizer | null {
  if (normalizer instanceof PrecompiledNormalizer)
    return new MapNormalizer(place, characterMap(place, normalizer.charsmap));
  if (normalizer instanceof ReplaceNormalizer) {
    const matcher: unknown = Reflect.get(normalizer.config, MATCHER);
    if (matcher !== undefined) return new PatternReplace(place, matcher as Pattern, normalizer.config.content ?? '');
  }
  if (normalizer instanceof SequenceNormalizer)
    normalizer.normalizers = normalizer.normalizers.map((part) => withCharacterMaps(place, part));
  return normalizer;
}

class MapNormalizer extends Normalizer {
  constructor(
    private readonly place: string,
    private readonly map: CharacterMap,
  ) {
    super({ type: 'Precompiled', precompiled_charsmap: '' });
  }

  normalize(text: string): string {
    const normalized = this.map.normalize(text);
    expectWithin(this.place, 'promptCharacters', normalized.length);
    return normalized;
  }
}

class PatternReplace extends Normalizer {
  constructor(
    private readonly place: string,
    private readonly pattern: Pattern,
    private readonly content: string,
  ) {
    super({ type: 'Replace', pattern: { String: '' }, content: '' });
  }

  normalize(text: string): string {
    let replaced = '';
    let reached = 0;
    for (const [start, end] of this.pattern.matches(text)) {
      replaced += text.slice(reached, start) + this.content;
      reached = end;
      expectWithin(this.place, 'promptCharacters', replaced.length);
    }
    return replaced + text.slice(reached);
  }
}
