/** Lumina-mGPT's models. Sources: Alpha-VLLM/Lumina-mGPT, modeling_chameleon.py and lumina_mgpt/inference_solver.py. */

import { defineModel, type ModelDefinition } from '../family.ts';
import { VQ_IGNORED } from '../parts/vq/config.ts';
import { vqWeights } from '../parts/vq/weights.ts';
import { TEXT_KINDS, type TextPrompt } from '../text/prompt.ts';
import type { ChameleonConfig } from './config.ts';
import { GRID_TOKENS, lineGrid } from './size.ts';
import { expectChameleonTokens } from './tokens.ts';
import { CHAMELEON_IGNORED, chameleonWeights } from './weights.ts';

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
  const { layers, heads, kvHeads, headDim, width, intermediateSize, grids, tokens, vq } = config;
  const codes = vq.codebook.count;
  return defineModel({
    name,
    grid: lineGrid(grids, grids, tokens.newline),
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
    model: (layers, context) =>
      import('./model.ts').then(({ chameleonModel }) => chameleonModel(config, layers, context)),
  });
}
