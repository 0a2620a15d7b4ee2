/**
 * Plain text of captions from the web: percent escapes decoded, markup removed, unusual forms of characters replaced.
 *
 * Each function follows the Python library that LlamaGen cleans captions with. Three things are not implemented: ftfy's
 * repair of text decoded with the wrong encoding (`Ã¶` for `ö`), the rarer named characters of HTML, and the recovery from
 * broken markup; a tag without its end or closing quote stays text here.
 */

import { namedCharacter, numberedCharacter, unescapeEntities } from './entities.ts';

/** Decodes `+` as a space and `%XX` as UTF-8; invalid UTF-8 becomes U+FFFD. Source: urllib.parse.unquote_plus. */
export function unquotePlus(text: string): string {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  return text
    .replaceAll('+', ' ')
    .replace(/(?:%[\da-f]{2})+/gi, (run) =>
      decoder.decode(Uint8Array.from(run.slice(1).split('%'), (digits) => Number.parseInt(digits, 16))),
    );
}

/**
 * Removes tags, comments and declarations, and decodes character references once. An unknown name keeps its ampersand and
 * loses its semicolon. A reference that ends the text without a semicolon is incomplete and stays as it is, except that
 * `&` and a single letter leave the letter. Source: BeautifulSoup(text, 'html.parser').text.
 */
export function textOfHtml(text: string): string {
  return text
    .replace(/<(script|style|template)\b[^>]*>[\s\S]*?<\/\1\s*>/gi, '')
    .replace(/<!--[\s\S]*?-->|<[!?][^>]*>|<\/?[a-z](?:[^"'>]|"[^"]*"|'[^']*')*>/gi, '')
    .replace(/&([a-z#])$/i, '$1')
    .replace(REFERENCE, (_, decimal, hex, name) => {
      if (name !== undefined) return namedCharacter(name) ?? `&${name}`;
      return numberedCharacter(Number.parseInt(decimal ?? hex, decimal === undefined ? 16 : 10));
    });
}

const REFERENCE = /&(?:#(\d+)(?:;|(?=[^\da-f]))|#x([\da-f]+)(?:;|(?=[^\da-f]))|([a-z][-.\da-z]*)(?:;|(?=[^\da-z])))/gi;

const LIGATURES: Readonly<Record<string, string>> = {
  Ĳ: 'IJ',
  ĳ: 'ij',
  ŉ: 'ʼn',
  Ǳ: 'DZ',
  ǲ: 'Dz',
  ǳ: 'dz',
  Ǆ: 'DŽ',
  ǅ: 'Dž',
  ǆ: 'dž',
  Ǉ: 'LJ',
  ǈ: 'Lj',
  ǉ: 'lj',
  Ǌ: 'NJ',
  ǋ: 'Nj',
  ǌ: 'nj',
  ﬀ: 'ff',
  ﬁ: 'fi',
  ﬂ: 'fl',
  ﬃ: 'ffi',
  ﬄ: 'ffl',
  ﬅ: 'ſt',
  ﬆ: 'st',
};

/**
 * Replaces by plain characters: character references (unless the text has a `<`, and so may be HTML in which they are
 * meant), C1 controls of windows-1252, ligatures, full and half width forms, curly quotes and line ends. Removes terminal
 * colors and controls, then normalizes to NFC. Source: ftfy.fix_text 6.3 without its encoding repair.
 */
export function plainCharacters(text: string): string {
  const unescaped = text.includes('<') ? text : unescapeEntities(text);
  return unescaped
    .replace(/[\u0080-\u009f]/g, (control) => numberedCharacter(control.codePointAt(0)!))
    .replace(/[ĲĳŉǱ-ǳǄ-ǌﬀ-ﬆ]/g, (ligature) => LIGATURES[ligature]!)
    .replace(/[\u3000\uff01-\uffef]/g, (form) => form.normalize('NFKC'))
    .replace(/[\u02bc\u2018-\u201b]/g, "'")
    .replace(/[\u201c-\u201f]/g, '"')
    .replace(/\r\n?|[\u2028\u2029]/g, '\n')
    .replace(TERMINAL_ESCAPES, '')
    .replace(CONTROLS, '')
    .normalize('NFC');
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this looks for
const TERMINAL_ESCAPES = /\x1b\[[\d;]*[a-zA-Z]/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this looks for
const CONTROLS = /[\0-\x08\x0b\x0e-\x1f\x7f\u206a-\u206f\ufeff\ufff9-\ufffc]/g;
