/** What a text-conditional model draws from, and where the words become ids. */

import { OptionError } from '../../tensor/errors.ts';
import { show } from '../../tensor/show.ts';

/** One prompt an image: words, for the model's own tokenizer and template, or the ids that these would give. */
export type TextPrompt = (
  | { readonly prompts: readonly string[] }
  | { readonly promptTokens: readonly (readonly number[])[] }
) &
  ImageSize;

/** Names of the two, for `checkPrompt`. */
export const TEXT_KINDS = ['prompts', 'promptTokens'] as const;

/** In pixels; what is left out is the model's own. Models that draw one size refuse others. */
export interface ImageSize {
  readonly width?: number;
  readonly height?: number;
}

/** Throws OptionError for a size other than the one square that a model draws. */
export function expectSize(model: string, prompt: object, pixels: number): void {
  const { width = pixels, height = pixels }: ImageSize = prompt;
  if (width !== pixels || height !== pixels)
    throw new OptionError(
      `size: expected ${pixels} x ${pixels}, the one size that ${model} draws, got ${show(width)} x ${show(height)}`,
    );
}

export interface PromptLimits {
  /** Words to ids, template and special tokens included; absent where the model was loaded without a tokenizer. */
  readonly encode: ((prompt: string) => readonly number[]) | undefined;
  readonly vocabulary: number;
  /** Most tokens of a prompt. */
  readonly mostTokens: number;
}

/**
 * Ids of every prompt.
 *
 * Throws OptionError for no prompts, an empty or too long one, ids outside the vocabulary, and words without a tokenizer.
 */
export function promptIds(prompt: TextPrompt, limits: PromptLimits): readonly (readonly number[])[] {
  const rows: readonly (readonly number[])[] = 'promptTokens' in prompt ? prompt.promptTokens : encoded(prompt, limits);
  if (!Array.isArray(rows) || rows.length === 0 || !rows.every(Array.isArray))
    throw new OptionError('prompt: expected { prompts: [...] } with at least one text, got none');
  for (const [image, ids] of rows.entries()) {
    if (ids.length === 0 || ids.length > limits.mostTokens) {
      throw new OptionError(
        `prompts[${image}]: expected 1 to ${limits.mostTokens} tokens, got ${ids.length}; shorten the text`,
      );
    }
    const wrong = ids.findIndex((id: number) => !Number.isInteger(id) || id < 0 || id >= limits.vocabulary);
    if (wrong >= 0)
      throw new OptionError(
        `prompts[${image}]: expected ids from 0 to ${limits.vocabulary - 1}, got ${show(ids[wrong])}`,
      );
  }
  return rows;
}

function encoded(prompt: TextPrompt, { encode }: PromptLimits): readonly (readonly number[])[] {
  if (!('prompts' in prompt) || !Array.isArray(prompt.prompts))
    throw new OptionError('prompt: expected { prompts: [...] }, got none; this model draws from text');
  return prompt.prompts.map((text, image) => {
    if (typeof text !== 'string' || text.trim() === '')
      throw new OptionError(`prompts[${image}]: expected a text that is not empty, got ${show(text)}`);
    if (!encode)
      throw new OptionError(
        `prompts[${image}]: expected a tokenizer to read it, got none; load the model with its tokenizer.json, or give { promptTokens }`,
      );
    return encode(text);
  });
}
