/** Lumina-mGPT's models as functions of their loaded layers. */

import { embedding, lastRows } from '../../kernels/embedding.ts';
import { linear } from '../../kernels/linear/linear.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { type ModelContext, type ModelFunctions, patchOf } from '../family.ts';
import { forward } from '../parts/transformer.ts';
import { decode, type VqDecoder } from '../parts/vq/decoder.ts';
import { textCondition } from '../text/condition.ts';
import { promptIds, type TextPrompt } from '../text/prompt.ts';
import type { ChameleonConfig } from './config.ts';
import { GRID_TOKENS, imageGrids, lineGrid } from './size.ts';
import { chameleonText } from './tokens.ts';
import type { ChameleonLayers } from './weights.ts';

export interface ChameleonParts {
  readonly checkpoint: ChameleonLayers;
  readonly vq: VqDecoder;
}

export function chameleonModel(
  config: ChameleonConfig,
  { checkpoint: model, vq: decoder }: ChameleonParts,
  { runtime, tokenizer }: ModelContext,
): ModelFunctions<TextPrompt> {
  const { vocabulary, grids, tokens } = config;
  const gridPixels = GRID_TOKENS * patchOf(config.vq);
  return {
    grid: (prompt) => {
      const { across, down } = imageGrids(prompt, grids, gridPixels);
      return lineGrid(across, down, tokens.newline);
    },
    /**
     * Rows are the prompt (begin token, words, end of turn), then image start and size, height first, which the
     * reference lets the model say itself. The unconditional row begins with the image start, and counts its
     * positions from there.
     */
    condition: (prompt, guided) => {
      const { across, down } = imageGrids(prompt, grids, gridPixels);
      const encode =
        tokenizer && ((text: string) => chameleonText(tokenizer, text, across * gridPixels, down * gridPixels));
      const texts = promptIds(prompt, { encode, vocabulary, mostTokens: config.mostPromptTokens });
      const start = [tokens.imageStart, tokens.size + down, tokens.size + across];
      const rows = texts.map((ids) => [...ids, ...start]);
      const unconditional = guided ? rows.map(() => start) : [];
      return textCondition(runtime, model.tokens, rows.length, [...rows, ...unconditional]);
    },
    embed: (ids, rows) => embedding(ids, model.tokens, rows),
    logits: (x, memory, length) => logits(model, forward(model.transformer, x, memory), length),
    decode: (image, grid) => decode(decoder, image, grid),
  };
}

/** x [R · T, C] → logits of the image tokens, of each row's last token, [R, codes] */
export function logits({ transformer, head }: ChameleonLayers, x: Tensor, tokens: number): Tensor {
  return linear(lastRows(x, tokens), head, { normEpsilon: transformer.normEpsilon });
}
