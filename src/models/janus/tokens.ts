/** Words and special tokens of Janus-Pro's prompts. Source: deepseek-ai/Janus, conversation.py and processing_vlm.py. */

import { FormatError } from '../../tensor/errors.ts';
import type { TextTokenizer } from '../text/tokenizer/tokenizer.ts';

/** As the tokenizer writes it: the bars are full-width. */
const PAD = '<｜▁pad▁｜>';
const BEGIN_OF_IMAGE = '<begin_of_image>';

/** The template `deepseek` without a system prompt; the tokenizer puts its begin token in front. */
export function janusTemplate(prompt: string): string {
  return `<|User|>: ${prompt.trim()}\n\n<|Assistant|>:${BEGIN_OF_IMAGE}`;
}

/**
 * Throws FormatError for a tokenizer of another model: one that lacks a special token, or whose ids the table of
 * `vocabulary` rows does not hold. Other models of the same makers share all but the begin of an image.
 */
export function expectJanusTokens(tokenizer: TextTokenizer, vocabulary: number): void {
  for (const token of [BEGIN_OF_IMAGE, PAD]) {
    const id = tokenizer.id(token);
    if (id >= vocabulary)
      throw new FormatError(
        `${tokenizer.name}: expected ${token} below ${vocabulary}, got ${id}; this tokenizer does not belong to the model, give the one beside its checkpoint`,
      );
  }
}

/** Id of the token that stands for the words in unconditional rows. */
export function padToken(tokenizer: TextTokenizer): number {
  return tokenizer.id(PAD);
}
