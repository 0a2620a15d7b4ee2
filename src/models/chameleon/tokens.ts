/** Lumina-mGPT's prompt template and special tokens, and the check that a tokenizer has them. Source: model/chameleon_vae_ori/vocab.py. */

import { FormatError } from '../../tensor/errors.ts';
import type { TextTokenizer } from '../text/tokenizer/tokenizer.ts';

/** Ids of the tokens in and around the image. Where a tokenizer is loaded, it must agree. */
export interface ChameleonTokens {
  readonly imageStart: number;
  /** A size of n grids is told by token `size + n`. */
  readonly size: number;
  /** Ends every line. */
  readonly newline: number;
  /** Id of code 0. */
  readonly firstCode: number;
}

const BEGIN = '<s>';
const END_OF_TURN = '<reserved08706>';
const IMAGE_START = '<racm3:break>';
const NEWLINE = '<reserved08799>';

/** A side of n grids is written as the token `<reserved>` number 8800 + n. Source: data/item_processor.py. */
const FIRST_SIZE = 8800;

/**
 * Ids of a prompt: begin token, template, words, end of turn. The reference adds the begin token itself, so we add it where
 * the tokenizer file does not. Source: xllmx/model/tokenizer.py, generate_examples/generate.py.
 */
export function chameleonText(tokenizer: TextTokenizer, prompt: string, width: number, height: number): number[] {
  const text = `Generate an image of ${width}x${height} according to the following prompt:\n${prompt}${END_OF_TURN}`;
  const ids = tokenizer.encode(text);
  const begin = tokenizer.id(BEGIN);
  return ids[0] === begin ? [...ids] : [begin, ...ids];
}

/**
 * Throws FormatError for a special token that is missing or whose id is not the model's: an id is a row of the embedding
 * table, so a wrong one would draw noise. Checks the image tokens of all codes and the sizes up to `mostGrids`.
 */
export function expectChameleonTokens(
  tokenizer: TextTokenizer,
  { imageStart, size, newline, firstCode }: ChameleonTokens,
  codes: number,
  mostGrids: number,
): void {
  for (const token of [BEGIN, END_OF_TURN]) tokenizer.id(token);
  expectId(tokenizer, IMAGE_START, imageStart);
  expectId(tokenizer, NEWLINE, newline);
  for (let grids = 1; grids <= mostGrids; grids++) expectId(tokenizer, sizeToken(grids), size + grids);
  for (let code = 0; code < codes; code++) expectId(tokenizer, imageToken(code), firstCode + code);
}

/** The ids that a vocabulary gives them. */
export function tokensOf(id: (token: string) => number): ChameleonTokens {
  return {
    imageStart: id(IMAGE_START),
    size: id(sizeToken(1)) - 1,
    newline: id(NEWLINE),
    firstCode: id(imageToken(0)),
  };
}

/** The code's decimal digits as letters, A for 0, between IMGIMG and Z: code 120 is IMGIMGBCAZ. */
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
