/** Janus-Pro's models as functions of their loaded layers. */

import { embedding, lastRows } from '../../kernels/embedding.ts';
import { linear } from '../../kernels/linear/linear.ts';
import { OptionError } from '../../tensor/errors.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { type ModelContext, type ModelFunctions, patchOf } from '../family.ts';
import { forward } from '../parts/transformer.ts';
import { decode } from '../parts/vq/decoder.ts';
import { textCondition } from '../text/condition.ts';
import { expectSize, promptIds, type TextPrompt } from '../text/prompt.ts';
import type { JanusConfig } from './config.ts';
import { janusTemplate, padToken } from './tokens.ts';
import type { JanusLayers } from './weights.ts';

export function janusModel(
  name: string,
  config: JanusConfig,
  model: JanusLayers,
  { runtime, tokenizer }: ModelContext,
): ModelFunctions<TextPrompt> {
  const { vocabulary, side, vq, mostPromptTokens } = config;
  const grid = { lines: side, lineLength: side };
  const encode = tokenizer && ((text: string) => tokenizer.encode(janusTemplate(text)));
  const pad = tokenizer ? padToken(tokenizer) : config.padToken;
  return {
    grid: (prompt) => {
      expectSize(name, prompt, side * patchOf(vq));
      return grid;
    },
    condition: (prompt, guided) => {
      const rows = promptIds(prompt, { encode, vocabulary, mostTokens: mostPromptTokens });
      const unconditional = guided ? rows.map((ids) => padded(ids, expectPad(name, pad))) : [];
      return textCondition(runtime, model.text, rows.length, [...rows, ...unconditional]);
    },
    embed: (tokens, rows) => embed(model, tokens, rows),
    logits: (x, memory, tokens) => logits(model, forward(model.transformer, x, memory), tokens),
    decode: (codes, image) => decode(model.vq, codes, image),
  };
}

/** tokens u32 [B] → alignOut(gelu(alignIn(codes[token]))), [rows, C] */
export function embed({ codes, alignIn, alignOut }: JanusLayers, tokens: Tensor, rows: number): Tensor {
  return linear(linear(embedding(tokens, codes, rows), alignIn, { activation: 'geluErf' }), alignOut);
}

/** x [R · T, C] → headOut(gelu(headIn(norm(x)))) of each row's last token, [R, V] */
export function logits({ transformer, headIn, headOut }: JanusLayers, x: Tensor, tokens: number): Tensor {
  const { normEpsilon } = transformer;
  return linear(linear(lastRows(x, tokens), headIn, { normEpsilon, activation: 'geluErf' }), headOut);
}

/** The unconditional row: every token but the first and last is padding, which is attended to like any token. */
function padded(ids: readonly number[], pad: number): readonly number[] {
  return ids.map((id, i) => (i === 0 || i === ids.length - 1 ? id : pad));
}

function expectPad(name: string, pad: number | undefined): number {
  if (pad !== undefined) return pad;
  throw new OptionError(
    `guidanceScale: expected at most 1 without a tokenizer, which tells the pad token; load ${name} with its tokenizer.json`,
  );
}
