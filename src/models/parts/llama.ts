/** A transformer under Llama's names, which Janus-Pro and Lumina-mGPT share. Source: transformers, modeling_llama.py. */

import type { QkNorm } from '../../kernels/qk-norm.ts';
import type { LayerLoader } from '../layer-loader.ts';
import type { Block, Transformer } from './transformer.ts';

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
  /** Positions that the table of angles holds: prompt and image. */
  readonly positions: number;
}

/** `prefix`, with its dot, stands before `layers`: `model.` in most checkpoints. */
export async function loadLlama(loader: LayerLoader, config: LlamaConfig, prefix: string): Promise<Transformer> {
  const { layers, headDim, positions, ropeBase, normEpsilon } = config;
  const blocks: Block[] = [];
  for (let layer = 0; layer < layers; layer++) blocks.push(await loadBlock(loader, config, `${prefix}layers.${layer}`));
  const angles = loader.constant('rotation', [positions, headDim / 2, 2], () =>
    halfRotation(positions, headDim, ropeBase),
  );
  return { blocks, rotation: { angles, pairing: 'half-split' }, normEpsilon };
}

async function loadBlock(loader: LayerLoader, config: LlamaConfig, at: string): Promise<Block> {
  const { width, intermediateSize, heads, kvHeads, headDim } = config;
  const projection = (name: string) => `${at}.self_attn.${name}_proj.weight`;
  return {
    qkv: await loader.linear({
      name: ['q', 'k', 'v'].map(projection),
      heights: [heads, kvHeads, kvHeads].map((count) => count * headDim),
      inputs: width,
      outputs: (heads + 2 * kvHeads) * headDim,
      gain: `${at}.input_layernorm.weight`,
    }),
    ...(config.qkNormEpsilon !== undefined && {
      qkNorm: await loadHeadNorm(loader, config, `${at}.self_attn`, config.qkNormEpsilon),
    }),
    out: await loader.linear({ name: projection('o'), inputs: heads * headDim, outputs: width }),
    gateUp: await loader.linear({
      name: `${at}.mlp.gate_proj.weight`,
      up: `${at}.mlp.up_proj.weight`,
      inputs: width,
      outputs: intermediateSize,
      gain: `${at}.post_attention_layernorm.weight`,
    }),
    down: await loader.linear({ name: `${at}.mlp.down_proj.weight`, inputs: intermediateSize, outputs: width }),
  };
}

/**
 * Checkpoints hold a row of gains for several heads, one after another, or a row for each: `model_parallel_size` rows in
 * the original, the number of heads in the conversion. Throws FormatError unless the rows divide the heads.
 */
async function loadHeadNorm(
  loader: LayerLoader,
  { heads, kvHeads, headDim }: LlamaConfig,
  at: string,
  epsilon: number,
): Promise<QkNorm> {
  const expanded = async (kind: 'weight' | 'bias') => {
    const parts: Float32Array[] = [];
    for (const [name, count] of [
      [`${at}.q_norm.${kind}`, heads],
      [`${at}.k_norm.${kind}`, kvHeads],
    ] as const) {
      const [rows = 1] = loader.shape(name) ?? [];
      const values = await loader.values(name, [count % rows === 0 ? rows : count, headDim]);
      const share = count / rows;
      for (let head = 0; head < count; head++) {
        const row = Math.floor(head / share) * headDim;
        parts.push(values.subarray(row, row + headDim));
      }
    }
    const all = new Float32Array((heads + kvHeads) * headDim);
    for (const [head, part] of parts.entries()) all.set(part, head * headDim);
    return loader.constant(`${at} norm ${kind}`, [heads + kvHeads, headDim], () => all);
  };
  return { gain: await expanded('weight'), bias: await expanded('bias'), epsilon };
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
