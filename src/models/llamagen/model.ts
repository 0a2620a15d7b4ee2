/** LlamaGen's models as functions of their loaded layers. */

import { embedding, lastRows } from '../../kernels/embedding.ts';
import { linear } from '../../kernels/linear/linear.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { type ModelContext, type ModelFunctions, patchOf } from '../family.ts';
import type { T5Encoder } from '../parts/t5/model.ts';
import { forward } from '../parts/transformer.ts';
import { decode, type VqDecoder } from '../parts/vq/decoder.ts';
import { captionReader } from '../text/caption/caption-reader.ts';
import { expectSize } from '../text/prompt.ts';
import type { Loaded } from '../weights/weight-spec.ts';
import { type LlamaGenPrompt, makeCondition } from './condition.ts';
import type { LlamaGenConfig } from './config.ts';
import type { gptWeights } from './weights.ts';

export type LlamaGenLayers = Loaded<ReturnType<typeof gptWeights>>;

export interface LlamaGenParts {
  readonly checkpoint: LlamaGenLayers;
  readonly vq: VqDecoder;
  readonly textEncoder?: T5Encoder | undefined;
}

export function llamaGenModel(
  name: string,
  { side, condition, vq }: LlamaGenConfig,
  { checkpoint: gpt, vq: decoder, textEncoder }: LlamaGenParts,
  { runtime, tokenizer }: ModelContext,
): ModelFunctions<LlamaGenPrompt> {
  const grid = { lines: side, lineLength: side };
  const reader =
    condition.kind === 'caption' && textEncoder ? captionReader(textEncoder, condition.encoder, tokenizer) : undefined;
  return {
    grid: (prompt) => {
      expectSize(name, prompt, side * patchOf(vq));
      return grid;
    },
    condition: (prompt, guided) => makeCondition(runtime, gpt.condition, { prompt, guided, reader }),
    embed: (tokens, rows) => embedding(tokens, gpt.tokens, rows),
    logits: (x, memory, tokens) => logits(gpt, forward(gpt, x, memory), tokens),
    decode: (codes, image) => decode(decoder, codes, image),
  };
}

/** x [R · T, C] → logits of each row's last token, [R, V] */
export function logits({ output, normEpsilon }: LlamaGenLayers, x: Tensor, tokens: number): Tensor {
  return linear(lastRows(x, tokens), output, { normEpsilon });
}
