/** Words to ids, by a checkpoint's own tokenizer.json. */

import { Tokenizer } from '@huggingface/tokenizers';
import { FormatError, RasterlineError } from '../../../tensor/errors.ts';
import { type CheckpointSource, openSource } from '../../../tensor/source/open-source.ts';
import type { UrlOptions } from '../../../tensor/source/url-source.ts';
import { readTokenizerFile } from './file.ts';
import { withCharacterMaps } from './normalizer.ts';

/** (ours) The largest of the families' files has about 5 MB. */
const MOST_BYTES = 64 * 2 ** 20;

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

export interface TokenizerOptions extends UrlOptions {
  /** tokenizer_config.json: it decides the begin token where the class is Llama's (Janus-Pro). */
  readonly config?: CheckpointSource;
}

/** Throws FormatError for a file that cannot be read, is damaged, or is no tokenizer of the kinds that the families have. */
export async function loadTokenizer(source: CheckpointSource, options: TokenizerOptions = {}): Promise<TextTokenizer> {
  const { name, text } = await readText(source, options);
  const config = options.config === undefined ? undefined : await readText(options.config, options);
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
    return made;
  });
  const encode = (words: string) => {
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
    if (size > MOST_BYTES)
      throw new FormatError(`${name}: expected at most ${MOST_BYTES} bytes, got ${size}; is it a tokenizer.json?`);
    const bytes = await opened.read(0, size);
    try {
      return { name, text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) };
    } catch (cause) {
      throw new FormatError(`${name}: expected UTF-8, got other bytes; the file is damaged`, { cause });
    }
  } finally {
    await opened.close();
  }
}
