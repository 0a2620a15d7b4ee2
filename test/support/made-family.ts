/** A family that a newcomer could add: images of a color, drawn by a Llama of one layer. */

import { embedding, lastRows } from '../../src/kernels/embedding.ts';
import { linear } from '../../src/kernels/linear/linear.ts';
import { defineModel, type Family, type ModelDefinition } from '../../src/models/family.ts';
import { llamaWeights } from '../../src/models/parts/llama.ts';
import { forward } from '../../src/models/parts/transformer.ts';
import { decode } from '../../src/models/parts/vq/decoder.ts';
import { vqWeights } from '../../src/models/parts/vq/weights.ts';
import { textCondition } from '../../src/models/text/condition.ts';
import { matrix, table } from '../../src/models/weights/weight-spec.ts';
import { OptionError } from '../../src/tensor/errors.ts';

export interface ColorPrompt {
  readonly colors: readonly number[];
}

const COLORS = 3;
const CODES = 16;
const SIDE = 4;
const VQ = {
  codebook: { count: CODES, width: 8, normalized: true },
  zChannels: 32,
  baseChannels: 32,
  multipliers: [1, 1],
  residualBlocks: 0,
};

function define(name: string, { width }: { readonly width: number }): ModelDefinition<ColorPrompt> {
  const grid = { lines: SIDE, lineLength: SIDE };
  const sizes = { layers: 1, heads: 2, kvHeads: 1, headDim: 8 };
  const llama = { ...sizes, width, intermediateSize: 2 * width, ropeBase: 10000, normEpsilon: 1e-6 };
  return defineModel({
    name,
    grid,
    geometry: sizes,
    width,
    intermediateSize: llama.intermediateSize,
    imageTokens: { first: COLORS, count: CODES },
    vq: VQ,
    rounding: 'nearest',
    promptKinds: ['colors'],
    defaults: { guidanceScale: 1, topK: 0, temperature: 1, topP: 1 },
    conditionTokens: () => 1,
    parts: {
      checkpoint: {
        weights: {
          tokens: table({ name: 'tokens.weight', count: COLORS + CODES, width }),
          transformer: llamaWeights(llama, { prefix: '', positions: 1 + SIDE * SIDE }),
          head: matrix({ name: 'head.weight', inputs: width, outputs: CODES, gain: 'norm.weight' }),
        },
        ignored: [],
      },
      vq: { weights: vqWeights(VQ), ignored: [] },
    },
    model: ({ checkpoint: { tokens: known, transformer, head }, vq }, { runtime }) => ({
      grid: () => grid,
      condition: ({ colors }) => {
        const wrong = colors.find((color) => color >= COLORS);
        if (wrong !== undefined) throw new OptionError(`colors: expected numbers below ${COLORS}, got ${wrong}`);
        return textCondition(
          runtime,
          known,
          colors.length,
          colors.map((color) => [color]),
        );
      },
      embed: (tokens, rows) => embedding(tokens, known, rows),
      logits: (x, memory, tokens) =>
        linear(lastRows(forward(transformer, x, memory), tokens), head, { normEpsilon: llama.normEpsilon }),
      decode: (codes, image) => decode(vq, codes, image),
    }),
  });
}

export const madeFamily = {
  presets: { 'made-tiny': (name: string) => define(name, { width: 16 }) },
  define,
} satisfies Family<ColorPrompt, { readonly width: number }>;
