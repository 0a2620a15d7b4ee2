/**
 * What a text becomes before it is split.
 *
 * The JavaScript library guesses at compiled character maps (it never reads them, and takes a joiner between emoji for a
 * space), so those are ours; it lets `$` in a replacement mean a group, and strips what JavaScript takes for white space.
 */

import { Normalizer, PrecompiledNormalizer, SequenceNormalizer } from '@huggingface/tokenizers';
import { FormatError } from '../../../tensor/errors.ts';
import { type CharacterMap, characterMap } from './character-map.ts';
import { describe, expectArray, expectObject, expectText, type JsonObject } from './json.ts';
import { pattern } from './splits.ts';

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
    const content = expectText(`${place}.content`, config.content).replaceAll('$', '$$$$');
    return { type, pattern: { Regex: pattern(`${place}.pattern`, config.pattern) }, content };
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
  if (type === 'Prepend') expectText(`${place}.prepend`, config.prepend);
  if (typeof type === 'string' && PLAIN.includes(type)) return config;
  throw new FormatError(`${place}.type: expected a normalizer of the three families, got ${describe(type)}`);
}

/** The library's normalizer with its character maps replaced. Throws FormatError for a damaged map. */
export function withCharacterMaps(place: string, normalizer: Normalizer | null): Normalizer | null {
  if (normalizer instanceof PrecompiledNormalizer) return new MapNormalizer(characterMap(place, normalizer.charsmap));
  if (normalizer instanceof SequenceNormalizer)
    normalizer.normalizers = normalizer.normalizers.map((part) => withCharacterMaps(place, part));
  return normalizer;
}

class MapNormalizer extends Normalizer {
  constructor(private readonly map: CharacterMap) {
    super({ type: 'Precompiled', precompiled_charsmap: '' });
  }

  normalize(text: string): string {
    return this.map.normalize(text);
  }
}
