/**
 * A caption as LlamaGen's text encoder was trained to read it: lower case, no addresses, no names of files, few signs.
 *
 * The steps and their order are the reference's, language/t5.py, text_preprocessing. What its Python libraries do besides is
 * in plain-text.ts, with what of it is left out.
 */

import { unescapeEntities } from './entities.ts';
import { plainCharacters, textOfHtml, unquotePlus } from './plain-text.ts';

/** Classes of Python's regular expressions, whose letters, digits and white space are Unicode's. */
const WORD = '\\p{L}\\p{N}_';
const SPACE = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
const CLASSES: Readonly<Record<string, string>> = {
  '\\w': `[${WORD}]`,
  '\\d': '\\p{Nd}',
  '\\D': '\\P{Nd}',
  '\\s': `[${SPACE}]`,
  '\\S': `[^${SPACE}]`,
  '\\b': `(?:(?<=[${WORD}])(?![${WORD}])|(?<![${WORD}])(?=[${WORD}]))`,
};

/** A regular expression that means what it means in Python; its classes may not stand within brackets. */
function python(pattern: string): RegExp {
  return new RegExp(
    pattern.replace(/\\[wdDsSb]/g, (name) => CLASSES[name]!),
    'gu',
  );
}

type Step = readonly [pattern: RegExp, replacement: string];

const DOMAINS = `[a-zA-Z0-9.\\-]+[.](?:com|co|ru|net|org|edu|gov|it)(?:\\w|[/\\-])*\\b/?(?!@)`;
const FILES = '(?:png|jpg|jpeg|bmp|webp|eps|pdf|apk|mp4)';

const ADDRESSES: readonly Step[] = [
  [/<person>/g, 'person'],
  [python(`\\b(?:https?:(?:/{1,3}|[a-zA-Z0-9%])|${DOMAINS})`), ''],
  [python(`\\b(?:www:(?:/{1,3}|[a-zA-Z0-9%])|${DOMAINS})`), ''],
];

const SIGNS: readonly Step[] = [
  [python('@\\w+\\b'), ''],
  [/[\u31c0-\u9fff]+/g, ''], // strokes, enclosed and compatibility forms, ideographs
  [
    /[-\u058a\u05be\u1400\u1806\u2010-\u2015\u2e17\u2e1a\u2e3a\u2e3b\u2e40\u301c\u3030\u30a0\ufe31\ufe32\ufe58\ufe63\uff0d]+/g,
    '-',
  ],
  [/[`´«»“”¨]/g, '"'],
  [/[‘’]/g, "'"],
  [/&quot;?/g, ''],
  [/&amp/g, ''],
  [python('\\d{1,3}\\.\\d{1,3}\\.\\d{1,3}\\.\\d{1,3}'), ' '],
  [python('\\d:\\d\\d\\s+$'), ''],
  [/\\n/g, ' '],
  [python('#\\d{1,3}\\b'), ''],
  [python('#\\d{5,}\\b'), ''],
  [python('\\b\\d{6,}\\b'), ''],
  [python(`\\S+\\.${FILES}`), ''],
  [/["']{2,}/g, '"'],
  [/\.{2,}/g, ' '],
  [/[#®•©™&@·º½¾¿¡§~)(\][}{|\\/*]+/g, ' '],
  [python('\\s+\\.\\s+'), ' '],
];

/** What sellers write. */
const NOISE: readonly Step[] = [
  [python('\\b[a-zA-Z]{1,3}\\d{3,15}\\b'), ''],
  [python('\\b[a-zA-Z]+\\d+[a-zA-Z]+\\b'), ''],
  [python('\\b\\d+[a-zA-Z]+\\d+\\b'), ''],
  [python('(?:worldwide\\s+)?(?:free\\s+)?shipping'), ''],
  [python('(?:free\\s)?download(?:\\sfree)?'), ''],
  [python('\\bclick\\b\\s(?:for|on)\\s\\w+'), ''],
  [python(`\\b${FILES}(?:\\simages?)?`), ''],
  [python('\\bpage\\s+\\d+\\b'), ''],
  [python('\\b\\d*[a-zA-Z]+\\d+[a-zA-Z]+\\d+(?:[a-zA-Z]|\\d)*\\b'), ' '],
  [python('\\b\\d+\\.?\\d*[x\u0445\u00d7]\\d+\\.?\\d*\\b'), ''], // x in Latin and Cyrillic, and the sign
];

const EDGES: readonly Step[] = [
  [python('\\b\\s+:\\s+'), ': '],
  [python('(\\D[,./])\\b'), '$1 '],
  [python('\\s+'), ' '],
  [/^["']([\s\S]+)["']$/g, '$1'],
  [/^['_,\-:;]/g, ''],
  [/['_,\-:+]$/g, ''],
  [python('^\\.\\S+$'), ''],
];

const OUTER_SPACE = python('^\\s+|\\s+$');

/** The text that the tokenizer reads; may be empty. */
export function cleanCaption(caption: string): string {
  return cleanOnce(cleanOnce(caption)); // the reference's own: one pass leaves what the next one sees
}

function cleanOnce(caption: string): string {
  const lower = strip(unquotePlus(caption)).toLowerCase();
  const signs = apply(SIGNS, textOfHtml(apply(ADDRESSES, lower)));
  const joins = signs.match(/[-_]/g)?.length ?? 0;
  const words = joins > 3 ? signs.replace(/[-_]/g, ' ') : signs; // this-is-my-cute-cat
  const plain = strip(unescapeEntities(unescapeEntities(plainCharacters(words))));
  return strip(apply(EDGES, apply(NOISE, plain)));
}

function apply(steps: readonly Step[], text: string): string {
  return steps.reduce((current, [pattern, replacement]) => current.replace(pattern, replacement), text);
}

function strip(text: string): string {
  return text.replace(OUTER_SPACE, '');
}
