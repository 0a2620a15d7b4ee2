/** Lumina-mGPT's models. Sources: Alpha-VLLM/Lumina-mGPT, modeling_chameleon.py and lumina_mgpt/inference_solver.py. */

import { embedding, lastRows } from '../../kernels/embedding.ts';
import { linear } from '../../kernels/linear/linear.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { defineModel, type ModelDefinition, patchOf } from '../family.ts';
import { forward } from '../parts/transformer.ts';
import { VQ_IGNORED } from '../parts/vq/config.ts';
import { decode } from '../parts/vq/decoder.ts';
import { vqWeights } from '../parts/vq/weights.ts';
import { textCondition } from '../text/condition.ts';
import { promptIds, TEXT_KINDS, type TextPrompt } from '../text/prompt.ts';
import type { ChameleonConfig } from './config.ts';
import { imageGrids } from './size.ts';
import { chameleonText, expectChameleonTokens } from './tokens.ts';
import { CHAMELEON_IGNORED, type ChameleonLayers, chameleonWeights } from './weights.ts';

/** Tokens of a side of a size grid. */
const GRID_TOKENS = 2;

/** Image start and the two sizes. */
const START_TOKENS = 3;

/** Where Chameleon's VQGAN lies in the official repositories. */
const VQGAN_FILES = [
  'vqgan.ckpt',
  'tokenizer/vqgan.ckpt',
  'ckpts/chameleon/tokenizer/vqgan.ckpt',
  'ckpts/image_tokenizer/chameleon/vqgan.ckpt',
];

export function defineChameleon(name: string, config: ChameleonConfig): ModelDefinition<TextPrompt> {
  const { layers, heads, kvHeads, headDim, width, intermediateSize, vocabulary, grids, tokens, vq } = config;
  const gridPixels = GRID_TOKENS * patchOf(vq);
  const codes = vq.codebook.count;
  /** Lines of image tokens, each ended by a newline token; the token that ends the image is not drawn. */
  const lineGrid = (across: number, down: number) => ({
    lines: GRID_TOKENS * down,
    lineLength: GRID_TOKENS * across + 1,
    lineEnd: tokens.newline,
  });
  return defineModel({
    name,
    grid: lineGrid(grids, grids),
    geometry: { layers, heads, kvHeads, headDim },
    width,
    intermediateSize,
    imageTokens: { first: tokens.firstCode, count: codes },
    vq,
    rounding: 'truncate',
    promptKinds: TEXT_KINDS,
    // generate_examples/generate.py: cfg 4, image_top_k 2000
    defaults: { guidanceScale: 4, topK: 2000, temperature: 1, topP: 1 },
    conditionTokens: (promptTokens) => promptTokens + START_TOKENS,
    parts: {
      checkpoint: { weights: chameleonWeights(config), ignored: CHAMELEON_IGNORED },
      vq: { weights: vqWeights(vq), ignored: VQ_IGNORED, beside: VQGAN_FILES },
    },
    expectTokenizer: (tokenizer) => expectChameleonTokens(tokenizer, tokens, codes, GRID_TOKENS * grids),
    model({ checkpoint: model, vq: decoder }, { runtime, tokenizer }) {
      return {
        grid: (prompt) => {
          const { across, down } = imageGrids(prompt, grids, gridPixels);
          return lineGrid(across, down);
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
    },
  });
}

/** x [R · T, C] → logits of the image tokens, of each row's last token, [R, codes] */
export function logits({ transformer, head }: ChameleonLayers, x: Tensor, tokens: number): Tensor {
  return linear(lastRows(x, tokens), head, { normEpsilon: transformer.normEpsilon });
}
