/** LlamaGen's models. Source: autoregressive/models/gpt.py. */

import { defineModel, type ModelDefinition } from '../family.ts';
import { T5_IGNORED } from '../parts/t5/config.ts';
import { t5Weights } from '../parts/t5/weights.ts';
import { VQ_IGNORED } from '../parts/vq/config.ts';
import { vqWeights } from '../parts/vq/weights.ts';
import { expectCaptionTokenizer } from '../text/caption/caption-tokenizer.ts';
import { TEXT_KINDS } from '../text/prompt.ts';
import type { LlamaGenPrompt } from './condition.ts';
import type { LlamaGenConfig } from './config.ts';
import { GPT_IGNORED, gptWeights, OTHER_CONDITION } from './weights.ts';

/** `folder` is where the package ships its files; its GPT draws from classes and from captions. */
export function defineLlamaGen(name: string, config: LlamaGenConfig, folder?: string): ModelDefinition<LlamaGenPrompt> {
  const { layers, heads, kvHeads, width, intermediateSize, vocabulary, side, condition, vq, sampling } = config;
  const grid = { lines: side, lineLength: side };
  const packaged = (file: string) => (folder === undefined ? {} : { packaged: `${folder}/${file}.safetensors` });
  const isCaption = condition.kind === 'caption';
  return defineModel({
    name,
    grid,
    geometry: { layers, heads, kvHeads, headDim: width / heads },
    width,
    intermediateSize,
    imageTokens: { first: 0, count: vocabulary },
    vq,
    rounding: 'nearest',
    promptKinds: isCaption ? [...TEXT_KINDS, 'captions'] : ['classes'],
    defaults: sampling,
    ...(!isCaption && { classes: condition.classes }),
    conditionTokens: () => (isCaption ? condition.tokens : 1),
    parts: {
      checkpoint: {
        weights: gptWeights(config),
        ignored: folder === undefined ? GPT_IGNORED : [...GPT_IGNORED, ...OTHER_CONDITION[condition.kind]],
        ...packaged('gpt'),
      },
      vq: { weights: vqWeights(vq), ignored: VQ_IGNORED, ...packaged('vq') },
      ...(isCaption && {
        textEncoder: {
          weights: t5Weights(condition.encoder, condition.tokens),
          ignored: T5_IGNORED,
          optional: true,
          ...packaged('t5'),
        },
      }),
    },
    ...(isCaption && {
      expectTokenizer: (tokenizer) => expectCaptionTokenizer(tokenizer, condition.encoder),
      ...(folder !== undefined && { packagedTokenizer: `${folder}/tokenizer.json` }),
    }),
    model: (layers, context) =>
      import('./model.ts').then(({ llamaGenModel }) => llamaGenModel(name, config, layers, context)),
  });
}
