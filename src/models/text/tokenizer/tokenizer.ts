/** Words to ids, by a checkpoint's own tokenizer.json. */

import { Tokenizer } from '@huggingface/tokenizers';
import { FormatError, RasterlineError } from '../../../tensor/errors.ts';
import { expectWithin, LIMITS } from '../../../tensor/limits.ts';
import { type Check, checkOptions, checkValue, type OptionTable, pickOptions } from '../../../tensor/options.ts';
import { decodeText } from '../../../tensor/source/json.ts';
import { type CheckpointSource, OPEN_SOURCE, openSource, SOURCE } from '../../../tensor/source/open-source.ts';
import type { UrlOptions } from '../../../tensor/source/url-source.ts';
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

/** How tokenizer files are fetched, and the one that stands beside. */
export interface TokenizerOptions extends UrlOptions {
  /** tokenizer_config.json: it decides the begin token where the class is Llama's (Janus-Pro). */
  readonly config?: CheckpointSource;
}

const PROMPT: Check<string> = {
  expected: `a text of at most ${LIMITS.promptCharacters.most} characters`,
  fits: (value): value is string => typeof value === 'string' && value.length <= LIMITS.promptCharacters.most,
};

export const TOKENIZER_OPTIONS: OptionTable<TokenizerOptions> = {
  place: 'loadTokenizer',
  options: { ...OPEN_SOURCE.options, config: SOURCE },
};

/**
 * Throws FormatError for a file that cannot be read, is damaged, or is no tokenizer of the kinds that the families have.
 *
 * @example
 * const tokenizer = await loadTokenizer('tokenizer.json');
 * const ids = tokenizer.encode('a watermelon');
 */
export async function loadTokenizer(source: CheckpointSource, given: TokenizerOptions = {}): Promise<TextTokenizer> {
  const options = checkOptions(TOKENIZER_OPTIONS, given);
  const http = pickOptions(OPEN_SOURCE, options);
  const { name, text } = await readText(source, http);
  const config = options.config === undefined ? undefined : await readText(options.config, http);
  return makeTokenizer(name, text, config);
}

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

async function readText(
  source: CheckpointSource,
  options: UrlOptions,
): Promise<{ readonly name: string; readonly text: string }> {
  const opened = await openSource(source, options);
  try {
    const { name, size } = opened;
    expectWithin(name, 'tokenizerBytes', size, 'is it a tokenizer.json?');
    return { name, text: decodeText(name, await opened.read(0, size)) };
  } finally {
    await opened.close();
  }
}
