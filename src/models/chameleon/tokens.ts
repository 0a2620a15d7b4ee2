/** Lumina-mGPT's template and special tokens: whether a tokenizer has them, and what it makes of a prompt. Source: model/chameleon_vae_ori/vocab.py. */

import { FormatError } from '../../tensor/errors.ts';
import type { TextTokenizer } from '../text/tokenizer/tokenizer.ts';
import type { ChameleonTokens } from './config.ts';

const BEGIN = '<s>';
const END_OF_TURN = '<reserved08706>';

/** Source: data/item_processor.py: n grids are told by the token `reserved` of number 8800 + n. */
const FIRST_SIZE = 8800;

/**
 * Ids of a prompt's text: begin token, template, words, end of turn. The reference puts the begin token there itself, so a
 * file that leaves it out is read alike. Source: xllmx/model/tokenizer.py, generate_examples/generate.py.
 */
export function chameleonText(tokenizer: TextTokenizer, prompt: string, width: number, height: number): number[] {
  const text = `Generate an image of ${width}x${height} according to the following prompt:\n${prompt}${END_OF_TURN}`;
  const ids = tokenizer.encode(text);
  const begin = tokenizer.id(BEGIN);
  return ids[0] === begin ? [...ids] : [begin, ...ids];
}

/**
 * Throws FormatError for a special token that is missing or has another id than the model's, of which each is a row of its
 * tables: the image tokens of all codes in order, and the sizes up to `mostGrids`.
 */
export function expectChameleonTokens(
  tokenizer: TextTokenizer,
  { imageStart, size, newline, firstCode }: ChameleonTokens,
  codes: number,
  mostGrids: number,
): void {
  for (const token of [BEGIN, END_OF_TURN]) tokenizer.id(token);
  expectId(tokenizer, '<racm3:break>', imageStart);
  expectId(tokenizer, '<reserved08799>', newline);
  for (let grids = 1; grids <= mostGrids; grids++) expectId(tokenizer, sizeToken(grids), size + grids);
  for (let code = 0; code < codes; code++) expectId(tokenizer, imageToken(code), firstCode + code);
}

/** Digits of the code written with letters, A for 0: code 120 is IMGIMGBCAZ. */
export function imageToken(code: number): string {
  const letters = [...String(code)].map((digit) => String.fromCharCode(65 + Number(digit)));
  return `IMGIMG${letters.join('')}Z`;
}

function sizeToken(grids: number): string {
  return `<reserved${String(FIRST_SIZE + grids).padStart(5, '0')}>`;
}

function expectId(tokenizer: TextTokenizer, token: string, expected: number): void {
  const id = tokenizer.id(token);
  if (id !== expected)
    throw new FormatError(
      `${tokenizer.name}: expected token ${token} to have id ${expected}, got ${id}; this tokenizer does not belong to the model`,
    );
}
