/** Checks that a tokenizer is Lumina-mGPT's, and tells the ids of its special tokens. Source: model/chameleon_vae_ori/vocab.py. */

import { FormatError } from '../../tensor/errors.ts';
import type { TextTokenizer } from '../tokenizer.ts';
import type { LuminaTokens } from './config.ts';

export const END_OF_TURN = '<reserved08706>';

/** Source: data/item_processor.py: n grids are told by the token `reserved` of number 8800 + n. */
const FIRST_SIZE = 8800;

/** Throws FormatError for a token that is missing, and for image tokens that are not in the order of their codes. */
export function luminaTokens(tokenizer: TextTokenizer, codes: number, mostGrids: number): LuminaTokens {
  tokenizer.id(END_OF_TURN);
  const firstCode = tokenizer.id(imageToken(0));
  for (let code = 0; code < codes; code++) expectId(tokenizer, imageToken(code), firstCode + code);
  const size = tokenizer.id(sizeToken(1)) - 1;
  for (let grids = 1; grids <= mostGrids; grids++) expectId(tokenizer, sizeToken(grids), size + grids);
  return { imageStart: tokenizer.id('<racm3:break>'), size, newline: tokenizer.id('<reserved08799>'), firstCode };
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
