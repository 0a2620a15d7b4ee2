/** From the text of a tokenizer.json to what encodes by it. */

import { Tokenizer } from '@huggingface/tokenizers';
import { FormatError, RasterlineError } from '../../../tensor/errors.ts';
import { LIMITS } from '../../../tensor/limits.ts';
import { type Check, checkValue } from '../../../tensor/options.ts';
import { readTokenizerFile } from './file.ts';
import { withCharacterMaps } from './normalizer.ts';
import { withPatterns } from './splits.ts';

/** Words to ids and back. */
export interface TextTokenizer {
  /** Of the file. */
  readonly name: string;
  /** One more than the highest id. */
  readonly vocabulary: number;
  /** Ids of a text, with the special tokens that the file puts around it. Those in the text itself are recognized. */
  encode(text: string): readonly number[];
  /** Throws FormatError where there is no such token: the tokenizer is of another model. */
  id(token: string): number;
  token(id: number): string | undefined;
}

const PROMPT: Check<string> = {
  expected: `a text of at most ${LIMITS.promptCharacters.most} characters`,
  fits: (value): value is string => typeof value === 'string' && value.length <= LIMITS.promptCharacters.most,
};

/** `text` is a tokenizer.json, `config` a tokenizer_config.json. Throws FormatError. */
export function makeTokenizer(
  name: string,
  text: string,
  config?: { readonly name: string; readonly text: string },
): TextTokenizer {
  const { tokenizer, vocabulary } = readTokenizerFile(name, text, config);
  const library = guarded(name, () => {
    const made = new Tokenizer(tokenizer, {});
    made.normalizer = withCharacterMaps(`${name}: normalizer`, made.normalizer);
    made.pre_tokenizer = withPatterns(made.pre_tokenizer);
    return made;
  });
  const encode = (words: string) => {
    checkValue('text', PROMPT, words);
    const { ids } = guarded(name, () => library.encode(words));
    const wrong = ids.findIndex((id) => !Number.isInteger(id) || id < 0 || id >= vocabulary);
    if (wrong < 0) return ids;
    throw new FormatError(`${name}: expected ids below ${vocabulary}, got ${ids[wrong]}; the file is damaged`);
  };
  encode('a'); // a template that names no token shows at once
  return {
    name,
    vocabulary,
    encode,
    id(token) {
      const id = library.token_to_id(token);
      if (id !== undefined) return id;
      throw new FormatError(
        `${name}: expected a token ${token}, got none; this tokenizer does not belong to the model, give the one beside its checkpoint`,
      );
    },
    token: (id) => library.id_to_token(id),
  };
}

/** What the library throws is about the file: it has met every sound one. */
function guarded<T>(name: string, run: () => T): T {
  try {
    return run();
  } catch (cause) {
    if (cause instanceof RasterlineError) throw cause;
    throw new FormatError(`${name}: expected a tokenizer.json, got ${String(cause)}; the file is damaged`, { cause });
  }
}
