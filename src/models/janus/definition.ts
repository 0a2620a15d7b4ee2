/** Janus-Pro's models. Sources: deepseek-ai/Janus, janus/models/modeling_vlm.py and generation_inference.py. */

import { defineModel, type ModelDefinition } from '../family.ts';
import { TEXT_KINDS, type TextPrompt } from '../text/prompt.ts';
import type { JanusConfig } from './config.ts';
import { JANUS_IGNORED, officialName } from './names.ts';
import { expectJanusTokens } from './tokens.ts';
import { janusWeights } from './weights.ts';

export function defineJanus(name: string, config: JanusConfig): ModelDefinition<TextPrompt> {
  const { layers, heads, kvHeads, headDim, width, intermediateSize, vocabulary, side, vq } = config;
  const grid = { lines: side, lineLength: side };
  return defineModel({
    name,
    grid,
    geometry: { layers, heads, kvHeads, headDim },
    width,
    intermediateSize,
    imageTokens: { first: 0, count: vq.codebook.count },
    vq,
    rounding: 'truncate',
    promptKinds: TEXT_KINDS,
    // all tokens, weighed by cfg_weight 5
    defaults: { guidanceScale: 5, topK: 0, temperature: 1, topP: 1 },
    conditionTokens: (promptTokens) => promptTokens,
    parts: { checkpoint: { weights: janusWeights(config), ignored: JANUS_IGNORED, officialName } },
    expectTokenizer: (tokenizer) => expectJanusTokens(tokenizer, vocabulary),
    model: ({ checkpoint }, context) =>
      import('./model.ts').then(({ janusModel }) => janusModel(name, config, checkpoint, context)),
  });
}
