/** Which tokenizer belongs to T5. */

import { FormatError } from '../../../tensor/errors.ts';
import type { T5Config } from '../../parts/t5/config.ts';
import type { TextTokenizer } from '../tokenizer/tokenizer.ts';

const END = '</s>';

/** Throws FormatError for a tokenizer of another model than T5. */
export function expectCaptionTokenizer(tokenizer: TextTokenizer, { vocabulary }: Pick<T5Config, 'vocabulary'>): void {
  if (tokenizer.vocabulary > vocabulary || tokenizer.encode('a').at(-1) !== tokenizer.id(END))
    throw new FormatError(
      `${tokenizer.name}: expected at most ${vocabulary} ids and ${END} behind every text, got ${tokenizer.vocabulary} and ${tokenizer.token(tokenizer.encode('a').at(-1) ?? 0)}; this tokenizer does not belong to the text encoder`,
    );
}
