/**
 * Text without what captions from the web carry along: percent signs, markup, odd forms of characters.
 *
 * Each function does what a Python library does for LlamaGen's captions, so far as it can be said in a few lines. Left out
 * are ftfy's repair of text that was decoded by the wrong encoding (`Ã¶` for `ö`), the rarer names of HTML's characters, and
 * what a parser makes of broken markup: here a tag whose end or closing quote is missing stays text.
 */

import { namedCharacter, numberedCharacter, unescapeEntities } from './entities.ts';

/** `+` to spaces, `%XX` of UTF-8 to characters; what is no UTF-8 becomes U+FFFD. Source: urllib.parse.unquote_plus. */
export function unquotePlus(text: string): string {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  return text
    .replaceAll('+', ' ')
    .replace(/(?:%[\da-f]{2})+/gi, (run) =>
      decoder.decode(Uint8Array.from(run.slice(1).split('%'), (digits) => Number.parseInt(digits, 16))),
    );
}

/**
 * Tags, comments and declarations removed, references replaced once. A name that is none keeps its ampersand and loses its
 * semicolon; one that ends the text is not complete and stays, and of a single letter the letter alone. Source:
 * BeautifulSoup(text, 'html.parser').text.
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
 * References where no `<` says that they are meant, C1 controls that are windows-1252, ligatures, full and half width forms, curly quotes, line ends,
 * terminal colors and controls brought to plain characters, then NFC. Source: ftfy.fix_text 6.3, its encoding repair left
 * out.
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

// biome-ignore lint/suspicious/noControlCharactersInRegex: it is they that are sought
const TERMINAL_ESCAPES = /\x1b\[[\d;]*[a-zA-Z]/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: it is they that are sought
const CONTROLS = /[\0-\x08\x0b\x0e-\x1f\x7f\u206a-\u206f\ufeff\ufff9-\ufffc]/g;
