/**
 * Patterns from files, matched in linear time: what stands in a tokenizer.json must not decide how long a prompt takes.
 *
 * Files write their patterns for Oniguruma, as the Rust library reads them; RE2 has the same syntax but for a few classes that
 * are Unicode's there and ASCII's here. What RE2 does not have (looking around, references back) no family's tokenizer uses.
 */

import { RE2JS } from 're2js';
import { FormatError } from '../../../tensor/errors.ts';
import { expectWithin } from '../../../tensor/limits.ts';
import { show } from '../../../tensor/show.ts';
import { expectObject, expectText } from './json.ts';

export interface Pattern {
  /** [start, end) of each match, from left to right; empty ones too. Throws FormatError when they take too long. */
  matches(text: string): Iterable<readonly [start: number, end: number]>;
}

/** Unicode's White_Space, and all that is not. */
const SPACE = '\\t-\\r\\x20\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}';
const NOT_SPACE =
  '\\x00-\\x08\\x0e-\\x1f\\x21-\\x{84}\\x{86}-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-\\x{10ffff}';

/** What an escape stands for, inside and outside of a class. */
const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['s', SPACE],
  ['S', NOT_SPACE],
  ['d', '\\p{Nd}'],
  ['D', '\\P{Nd}'],
  ['w', '\\p{L}\\p{M}\\p{Nd}\\p{Pc}'],
  ['h', '0-9A-Fa-f'],
]);

/** A `{ Regex }` or `{ String }` of a file. Throws FormatError, naming the place, for others, and for what RE2 does not have. */
export function readPattern(place: string, value: unknown): Pattern {
  const config = expectObject(place, value);
  const isRegex = config.Regex !== undefined;
  const source = expectText(`${place}.${isRegex ? 'Regex' : 'String'}`, isRegex ? config.Regex : config.String);
  expectWithin(place, 'patternCharacters', source.length);
  return isRegex ? regex(place, source) : literal(source);
}

function literal(wanted: string): Pattern {
  return {
    *matches(text) {
      if (wanted === '') return;
      for (let at = text.indexOf(wanted); at >= 0; at = text.indexOf(wanted, at + wanted.length))
        yield [at, at + wanted.length];
    },
  };
}

function regex(place: string, source: string): Pattern {
  const compiled = compile(place, source);
  expectWithin(place, 'patternSteps', compiled.programSize());
  return {
    *matches(text) {
      const start = Date.now();
      for (const matcher = compiled.matcher(text); matcher.find(); ) {
        expectWithin(place, 'patternMs', Date.now() - start); // each match is linear, their number too
        yield [matcher.start(), matcher.end()];
      }
    },
  };
}

/** Line ends end lines for `^` and `$`, as always in Oniguruma. */
function compile(place: string, source: string): RE2JS {
  try {
    return RE2JS.compile(translated(source), RE2JS.MULTILINE);
  } catch (cause) {
    throw new FormatError(
      `${place}: expected a pattern that RE2 knows, got ${show(source)}: ${cause instanceof Error ? cause.message : 'another error'}`,
      { cause },
    );
  }
}

function translated(source: string): string {
  let isClass = false;
  return source.replaceAll(/\\[\s\S]|\[|\]/g, (part) => {
    if (part === '[') isClass = true;
    if (part === ']') isClass = false;
    const set = part[0] === '\\' ? ESCAPES.get(part.slice(1)) : undefined;
    if (set === undefined) return part;
    return isClass ? set : `[${set}]`;
  });
}
