/** Lumina-mGPT's sizes: one network, a Chameleon of 7 B, trained for three areas. Source: config.json of Alpha-VLLM/Lumina-mGPT-7B-768. */

import type { LlamaConfig } from '../parts/llama.ts';
import { type VqConfig, vqPreset } from '../parts/vq/config.ts';

/** Ids of the tokens in and around the image. Where a tokenizer is loaded, it must agree. */
export interface ChameleonTokens {
  readonly imageStart: number;
  /** A size of n grids is told by token `size + n`. */
  readonly size: number;
  /** Ends every line. */
  readonly newline: number;
  /** Id of code 0. */
  readonly firstCode: number;
}

export interface ChameleonConfig extends LlamaConfig {
  /** All tokens, of text and image. */
  readonly vocabulary: number;
  /** Side of the square image in size grids, of two tokens a side. */
  readonly grids: number;
  readonly tokens: ChameleonTokens;
  readonly vq: VqConfig;
  /** Most tokens of a prompt's text, template included. */
  readonly mostPromptTokens: number;
}

/** Source: generate_examples/generate.py: cfg 4, image_top_k 2000, temperature 1. */
export const CHAMELEON_SAMPLING = { guidanceScale: 4, topK: 2000, temperature: 1, topP: 1 } as const;

/** (ours) Far above what a caption needs; the model itself was trained on 4096 positions and more. */
const MOST_PROMPT_TOKENS = 1024;

/** Positions of the longest row of a model: prompt, start and sizes, and the image of most lines (twice as high as the square). */
export function chameleonPositions(grids: number, mostPromptTokens: number): number {
  return mostPromptTokens + 3 + 4 * grids * (grids + 1);
}

function config(grids: number): ChameleonConfig {
  return {
    layers: 32,
    heads: 32,
    kvHeads: 32,
    headDim: 128,
    width: 4096,
    intermediateSize: 11008,
    ropeBase: 10000,
    normEpsilon: 1e-5,
    qkNormEpsilon: 1e-5,
    vocabulary: 65536,
    grids,
    tokens: { imageStart: 8197, size: 8804, newline: 8803, firstCode: 4 },
    vq: vqPreset('vqgan-chameleon'),
    mostPromptTokens: MOST_PROMPT_TOKENS,
    positions: chameleonPositions(grids, MOST_PROMPT_TOKENS),
  };
}

export const CHAMELEON_PRESETS: Readonly<Record<string, ChameleonConfig>> = {
  'lumina-mgpt-512': config(16),
  'lumina-mgpt-768': config(24),
  // trained on more tasks; it draws from the same template
  'lumina-mgpt-768-omni': config(24),
  'lumina-mgpt-1024': config(32),
};
