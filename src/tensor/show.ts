/** Values and texts from outside, made fit for one line of an error or a terminal. */

const MOST_CHARACTERS = 60;

/** Control characters, halves of a pair, separators of lines and paragraphs, and what turns the direction of a text. */
const UNSAFE = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}\ufeff]/gu;

/**
 * The text with every character escaped that a terminal acts upon: a name from a file must not move the cursor, change
 * colors, or reverse what is read. Line feeds and tabs stay where `keepLines` says so.
 *
 * @example printable('a\x1b[31m') // 'a\\u001b[31m'
 */
export function printable(text: string, { keepLines = false } = {}): string {
  return text.replace(UNSAFE, (character) =>
    keepLines && (character === '\n' || character === '\t')
      ? character
      : `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Any value in few characters: never throws, never runs more of the value's own code than the name of its class. */
export function show(value: unknown): string {
  switch (typeof value) {
    case 'undefined':
      return 'nothing';
    case 'string':
      return `'${printable(value.length > MOST_CHARACTERS ? `${value.slice(0, MOST_CHARACTERS - 3)}...` : value)}'`;
    case 'bigint':
      return 'a bigint';
    case 'symbol':
      return 'a symbol';
    case 'function':
      return 'a function';
    case 'object':
      return value === null ? 'null' : showObject(value);
    default:
      return Object.is(value, -0) ? '-0' : String(value);
  }
}

function showObject(value: object): string {
  try {
    if (Array.isArray(value)) return `an array of ${value.length}`;
    const name: unknown = Object.getPrototypeOf(value)?.constructor?.name;
    return typeof name === 'string' && /^\w{1,40}$/.test(name) && name !== 'Object' ? `a ${name}` : 'an object';
  } catch {
    return 'an object'; // a proxy, or a class whose name throws
  }
}
