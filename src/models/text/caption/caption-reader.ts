/** Words to the features of captions: cleaned, tokenized, and read by T5. Source: LlamaGen, language/t5.py. */

import { OptionError } from '../../../tensor/errors.ts';
import type { Runtime } from '../../../tensor/runtime.ts';
import type { Tensor } from '../../../tensor/tensor.ts';
import type { T5Config } from '../../parts/t5/config.ts';
import { encodeText, type T5Encoder } from '../../parts/t5/model.ts';
import { promptIds, type TextPrompt } from '../prompt.ts';
import type { TextTokenizer } from '../tokenizer/tokenizer.ts';
import { cleanCaption } from './caption-text.ts';

export interface CaptionReader {
  readonly encoder: T5Encoder;
  /** Ids that the encoder knows. */
  readonly vocabulary: number;
  /** Absent: prompts are ids. */
  readonly encode: ((prompt: string) => readonly number[]) | undefined;
}

/** Features of some captions, left-padded as the transformer takes them. */
export interface CaptionFeatures {
  /** First token of each caption that is not padding, [B]. */
  readonly leftPadding: readonly number[];
  /** Records the features [B · T, width]; zeros for padding. */
  record(): Tensor;
  dispose(): void;
}

export function captionReader(
  encoder: T5Encoder,
  { vocabulary }: Pick<T5Config, 'vocabulary'>,
  tokenizer: TextTokenizer | undefined,
): CaptionReader {
  return { encoder, vocabulary, encode: tokenizer && ((prompt) => tokenizer.encode(cleaned(prompt))) };
}

/**
 * Uploads the ids of a prompt. Longer ones than `tokens` are refused, where the reference cuts them off.
 *
 * Throws OptionError, also for words of which cleaning leaves nothing.
 */
export function readCaptions(
  runtime: Runtime,
  { encoder, encode, vocabulary }: CaptionReader,
  prompt: TextPrompt,
  tokens: number,
): CaptionFeatures {
  const rows = promptIds(prompt, { encode, vocabulary, mostTokens: tokens });
  const leftPadding = rows.map((row) => tokens - row.length);
  const padded = rows.flatMap((row, image) => [...new Array<number>(leftPadding[image]!).fill(0), ...row]);
  const ids = runtime.tensor([padded.length], 'u32', 'captions', Uint32Array.from(padded));
  const begins = runtime.tensor([leftPadding.length], 'u32', 'caption padding', Uint32Array.from(leftPadding));
  return {
    leftPadding,
    record: () => encodeText(encoder, ids, begins),
    dispose: () => {
      ids.dispose();
      begins.dispose();
    },
  };
}

function cleaned(prompt: string): string {
  const text = cleanCaption(prompt);
  if (text !== '') return text;
  throw new OptionError(
    `prompt: expected words, got ${JSON.stringify(prompt)}, of which the cleaning of captions leaves none`,
  );
}
