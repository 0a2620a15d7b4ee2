/** Words to ids, by a checkpoint's own tokenizer.json. */

import { expectWithin } from '../../../tensor/limits.ts';
import { checkOptions, type OptionTable, pickOptions } from '../../../tensor/options.ts';
import { decodeText } from '../../../tensor/source/json.ts';
import { type CheckpointSource, OPEN_SOURCE, openSource, SOURCE } from '../../../tensor/source/open-source.ts';
import type { UrlOptions } from '../../../tensor/source/url-source.ts';
import type { TextTokenizer } from './make-tokenizer.ts';

export type { TextTokenizer };

/** How tokenizer files are fetched, and the one that stands beside. */
export interface TokenizerOptions extends UrlOptions {
  /** tokenizer_config.json: it decides the begin token where the class is Llama's (Janus-Pro). */
  readonly config?: CheckpointSource;
}

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
  // what reads its rules is as large as the rest of the library, so it comes when there is a text to read
  const { makeTokenizer } = await import('./make-tokenizer.ts');
  return makeTokenizer(name, text, config);
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
