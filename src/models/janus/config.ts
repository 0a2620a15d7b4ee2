/** Janus-Pro's sizes. Source: config.json of deepseek-ai/Janus-Pro-1B and -7B. */

import type { LlamaConfig } from '../parts/llama.ts';
import { type VqConfig, vqPreset } from '../parts/vq/config.ts';

export interface JanusConfig extends LlamaConfig {
  /** Text tokens. */
  readonly vocabulary: number;
  /** Image tokens of a side. */
  readonly side: number;
  /** Inner width of the generation head. */
  readonly headWidth: number;
  readonly vq: VqConfig;
  /** Most tokens of a prompt, template included. */
  readonly mostPromptTokens: number;
  /** Id of the pad token where no tokenizer is loaded to tell. */
  readonly padToken?: number;
}

/** Source: generation_inference.py: cfg_weight 5, temperature 1, all tokens. */
export const JANUS_SAMPLING = { guidanceScale: 5, topK: 0, temperature: 1, topP: 1 } as const;

/** (ours) Far above what a caption needs; the model itself was trained on 16384 positions. */
const MOST_PROMPT_TOKENS = 1024;
const SIDE = 24;

const SHARED = {
  headDim: 128,
  ropeBase: 10000,
  normEpsilon: 1e-6,
  vocabulary: 102400,
  side: SIDE,
  vq: vqPreset('vq-ds16'),
  mostPromptTokens: MOST_PROMPT_TOKENS,
  positions: MOST_PROMPT_TOKENS + SIDE * SIDE,
} as const;

export const JANUS_PRESETS: Readonly<Record<string, JanusConfig>> = {
  'janus-pro-1b': {
    ...SHARED,
    layers: 24,
    heads: 16,
    kvHeads: 16,
    width: 2048,
    intermediateSize: 5632,
    headWidth: 2048,
  },
  'janus-pro-7b': {
    ...SHARED,
    layers: 30,
    heads: 32,
    kvHeads: 32,
    width: 4096,
    intermediateSize: 11008,
    headWidth: 4096,
  },
};
