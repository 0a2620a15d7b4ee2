/**
 * HTML's character references: numbers, the names of Latin-1 and of usual punctuation. Other names stay as they are.
 *
 * (ours) A caption holds few of the two thousand names there are; a library that knows all of them fits in here.
 */

/** Names of U+00A0 to U+00FF, which count without their semicolon too. Source: HTML, named character references. */
const LATIN =
  'nbsp iexcl cent pound curren yen brvbar sect uml copy ordf laquo not shy reg macr deg plusmn sup2 sup3 acute micro para middot cedil sup1 ordm raquo frac14 frac12 frac34 iquest Agrave Aacute Acirc Atilde Auml Aring AElig Ccedil Egrave Eacute Ecirc Euml Igrave Iacute Icirc Iuml ETH Ntilde Ograve Oacute Ocirc Otilde Ouml times Oslash Ugrave Uacute Ucirc Uuml Yacute THORN szlig agrave aacute acirc atilde auml aring aelig ccedil egrave eacute ecirc euml igrave iacute icirc iuml eth ntilde ograve oacute ocirc otilde ouml divide oslash ugrave uacute ucirc uuml yacute thorn yuml';

const NAMES: ReadonlyMap<string, string> = new Map([
  ...LATIN.split(' ').map((name, i) => [name, String.fromCodePoint(0xa0 + i)] as const),
  ...Object.entries({
    amp: '&',
    lt: '<',
    gt: '>',
    quot: '"',
    apos: "'",
    hellip: '…',
    trade: '™',
    euro: '€',
    bull: '•',
  }),
  ...Object.entries({ ndash: '–', mdash: '—', lsquo: '‘', rsquo: '’', sbquo: '‚', ldquo: '“', rdquo: '”', bdquo: '„' }),
  ...Object.entries({ minus: '−', infin: '∞', hearts: '♥', star: '☆', larr: '←', rarr: '→', thinsp: '\u2009' }),
]);
const NEED_SEMICOLON = ['apos', 'hellip', 'trade', 'euro', 'bull', 'ndash', 'mdash', 'lsquo', 'rsquo', 'sbquo'].concat([
  'ldquo',
  'rdquo',
  'bdquo',
  'minus',
  'infin',
  'hearts',
  'star',
  'larr',
  'rarr',
  'thinsp',
]);
/** Longest first, so that `&notit` is `¬it` and `&nothing` not `&no` + `thing`. */
const BARE_NAMES = [...NAMES.keys()]
  .filter((name) => !NEED_SEMICOLON.includes(name))
  .sort((a, b) => b.length - a.length);

/** Characters 0x80 to 0x9F as browsers read their numbers: windows-1252. */
const WINDOWS = '€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ';

/** What a name stands for; undefined where there is none such. */
export function namedCharacter(name: string): string | undefined {
  return NAMES.get(name);
}

/** What a number stands for, as HTML says: what is no character becomes U+FFFD. */
export function numberedCharacter(code: number): string {
  if (code >= 0x80 && code < 0xa0) return WINDOWS[code - 0x80]!;
  const isCharacter = code > 0 && code < 0x110000 && !(code >= 0xd800 && code < 0xe000);
  return isCharacter ? String.fromCodePoint(code) : '\ufffd';
}

/** Every reference replaced, once. Source: Python, html.unescape. */
export function unescapeEntities(text: string): string {
  return text.replace(/&(?:#(\d+);?|#x([\da-f]+);?|([a-z][\da-z]*)(;?))/gi, (all, decimal, hex, name, semicolon) => {
    if (decimal !== undefined) return numberedCharacter(Number.parseInt(decimal, 10));
    if (hex !== undefined) return numberedCharacter(Number.parseInt(hex, 16));
    if (semicolon && NAMES.has(name)) return NAMES.get(name)!;
    const bare = BARE_NAMES.find((start) => name.startsWith(start));
    return bare === undefined ? all : NAMES.get(bare)! + name.slice(bare.length) + semicolon;
  });
}
