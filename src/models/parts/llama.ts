/** A transformer under Llama's names, which Janus-Pro and Lumina-mGPT share. Source: transformers, modeling_llama.py. */

import { multipleOf } from '../../tensor/checks.ts';
import type { OptionTable } from '../../tensor/options.ts';
import { paddedEpsilon } from '../weights/padding.ts';
import { matrix, tensor, values } from '../weights/weight-spec.ts';
import { DEPTH, EPSILON, ROPE_BASE, SIZE } from './config-checks.ts';

export interface LlamaConfig {
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly width: number;
  /** Inner width of the MLP. */
  readonly intermediateSize: number;
  readonly ropeBase: number;
  readonly normEpsilon: number;
  /** Added to the variance in the norm of queries and keys; absent: there is none. */
  readonly qkNormEpsilon?: number;
}

/** As a caller gives them, who may leave out what a family knows. */
export const LLAMA_OPTIONS: OptionTable<Partial<LlamaConfig>>['options'] = {
  layers: DEPTH,
  heads: SIZE,
  kvHeads: SIZE,
  headDim: multipleOf(4),
  width: SIZE,
  intermediateSize: SIZE,
  ropeBase: ROPE_BASE,
  normEpsilon: EPSILON,
  qkNormEpsilon: EPSILON,
};

/**
 * `prefix`, with its dot, stands before `layers`: `model.` in most checkpoints. The table of angles holds so many
 * `positions`: prompt and image.
 */
export function llamaWeights(
  config: LlamaConfig,
  { prefix, positions }: { readonly prefix: string; readonly positions: number },
) {
  const { layers, headDim, width, ropeBase, normEpsilon } = config;
  const angles = tensor({
    label: 'rotation',
    shape: [positions, headDim / 2, 2],
    sources: [],
    make: () => halfRotation(positions, headDim, ropeBase),
  });
  return {
    blocks: Array.from({ length: layers }, (_, layer) => blockWeights(config, `${prefix}layers.${layer}`)),
    rotation: { angles, pairing: 'half-split' },
    normEpsilon: paddedEpsilon(normEpsilon, width),
  } as const;
}

function blockWeights(config: LlamaConfig, at: string) {
  const { width, intermediateSize, heads, kvHeads, headDim, qkNormEpsilon } = config;
  const projection = (name: string) => `${at}.self_attn.${name}_proj.weight`;
  return {
    qkv: matrix({
      name: ['q', 'k', 'v'].map(projection),
      heights: [heads, kvHeads, kvHeads].map((count) => count * headDim),
      inputs: width,
      outputs: (heads + 2 * kvHeads) * headDim,
      gain: `${at}.input_layernorm.weight`,
    }),
    ...(qkNormEpsilon !== undefined && { qkNorm: qkNormWeights(config, `${at}.self_attn`, qkNormEpsilon) }),
    out: matrix({ name: projection('o'), inputs: heads * headDim, outputs: width, step: 4 }),
    gateUp: matrix({
      name: `${at}.mlp.gate_proj.weight`,
      up: `${at}.mlp.up_proj.weight`,
      inputs: width,
      outputs: intermediateSize,
      step: 4,
      gain: `${at}.post_attention_layernorm.weight`,
    }),
    down: matrix({ name: `${at}.mlp.down_proj.weight`, inputs: intermediateSize, outputs: width, step: 4 }),
  };
}

/**
 * Checkpoints hold a row of gains for several heads, one after another, or a row for each: `model_parallel_size` rows in
 * the original, the number of heads in the conversion.
 */
function qkNormWeights({ heads, kvHeads, headDim }: LlamaConfig, at: string, epsilon: number) {
  const perHead = (kind: 'weight' | 'bias') =>
    tensor({
      label: `${at} norm ${kind}`,
      shape: [heads + kvHeads, headDim],
      sources: [
        values({ name: `${at}.q_norm.${kind}`, shape: [heads, headDim], sharedRows: true }),
        values({ name: `${at}.k_norm.${kind}`, shape: [kvHeads, headDim], sharedRows: true }),
      ],
    });
  return { gain: perHead('weight'), bias: perHead('bias'), epsilon };
}

/**
 * cos and sin [positions, D / 2, 2]: angle of pair j = position · base^(−2 j / D), in f32.
 *
 * Source: transformers, modeling_llama.py, LlamaRotaryEmbedding.
 */
export function halfRotation(positions: number, headDim: number, base: number): Float32Array<ArrayBuffer> {
  const half = headDim / 2;
  const table = new Float32Array(positions * headDim);
  for (let pair = 0; pair < half; pair++) {
    const frequency = Math.fround(1 / Math.fround(base ** ((2 * pair) / headDim)));
    for (let position = 0; position < positions; position++) {
      const angle = Math.fround(position * frequency);
      table[2 * (position * half + pair)] = Math.cos(angle);
      table[2 * (position * half + pair) + 1] = Math.sin(angle);
    }
  }
  return table;
}
