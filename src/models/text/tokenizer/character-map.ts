/**
 * The compiled character map of a SentencePiece normalizer: prefixes of UTF-8 bytes to what they become.
 *
 * A map is the bytes of a trie (u32, little-endian), the trie as units of u32, and the replacements, each ended by a zero
 * byte. A unit holds a label (bits 0..7, and bit 31 for a leaf's value), whether a leaf hangs below it (bit 8), and the
 * offset of its children (bits 10..30, shifted by 8 more where bit 9 is set). Sources: darts-clone; the Rust crate
 * spm_precompiled, whose choices this follows: the first prefix found wins, and what follows it in its cluster is dropped.
 */

import { FormatError } from '../../../tensor/errors.ts';

/** Bytes from which on a cluster is looked up a character at a time. */
const LONG_CLUSTER = 6;

export interface CharacterMap {
  normalize(text: string): string;
}

/** Throws FormatError, naming the place, for a map that is cut short or not base64. */
export function characterMap(place: string, base64: string): CharacterMap {
  const bytes = decode(place, base64);
  const view = new DataView(bytes.buffer);
  const trieBytes = bytes.length >= 4 ? view.getUint32(0, true) : 0;
  if (trieBytes === 0 || trieBytes % 4 !== 0 || trieBytes > bytes.length - 4)
    throw new FormatError(`${place}: expected a character map, got ${bytes.length} bytes with a trie of ${trieBytes}`);
  const trie = Uint32Array.from({ length: trieBytes / 4 }, (_, i) => view.getUint32(4 + 4 * i, true));
  const replacements = bytes.subarray(4 + trieBytes);
  const graphemes = new Intl.Segmenter('und', { granularity: 'grapheme' });
  const encoder = new TextEncoder();
  const decoder = new TextDecoder();

  const replacement = (part: Uint8Array): string | undefined => {
    const start = firstPrefix(trie, part);
    if (start === undefined || start >= replacements.length) return undefined;
    const end = replacements.indexOf(0, start);
    return decoder.decode(replacements.subarray(start, end < 0 ? undefined : end));
  };
  const cluster = (text: string): string => {
    const part = encoder.encode(text);
    const whole = part.length < LONG_CLUSTER ? replacement(part) : undefined;
    return whole ?? Array.from(text, (character) => replacement(encoder.encode(character)) ?? character).join('');
  };
  return { normalize: (text) => Array.from(graphemes.segment(text), ({ segment }) => cluster(segment)).join('') };
}

/** Value of the shortest key that `bytes` begin with. */
function firstPrefix(trie: Uint32Array, bytes: Uint8Array): number | undefined {
  let at = offset(trie[0]!);
  for (const byte of bytes) {
    if (byte === 0) return undefined;
    at ^= byte;
    const unit = trie[at];
    if (unit === undefined || (unit & 0x800000ff) !== byte) return undefined;
    at ^= offset(unit);
    if (unit & 0x100) return (trie[at] ?? 0x7fffffff) & 0x7fffffff;
  }
  return undefined;
}

function offset(unit: number): number {
  return (unit >>> 10) << ((unit & 0x200) >>> 6);
}

function decode(place: string, base64: string): Uint8Array<ArrayBuffer> {
  try {
    return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  } catch (cause) {
    throw new FormatError(`${place}: expected base64, got other characters; the file is damaged`, { cause });
  }
}
