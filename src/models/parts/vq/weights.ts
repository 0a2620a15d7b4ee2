/**
 * Weights of a VQ tokenizer's decoder, under LlamaGen's names or Chameleon's. It stays in float whole: it is small, runs
 * once an image, and every error in it is seen.
 */

import { convolution, matrix, table, vector } from '../../weights/weight-spec.ts';
import { GROUPS, type VqConfig } from './config.ts';

/** nn.GroupNorm(32, C, eps=1e-6): vq_model.py, Normalize. */
const EPSILON = 1e-6;

/** What the two layouts call the same things; Chameleon counts its levels from the finest. */
const NAMES = {
  llamagen: {
    mid: ['mid.0', 'mid.1', 'mid.2'],
    level: (level: number) => `conv_blocks.${level}`,
    block: 'res',
    levelAttention: true,
  },
  chameleon: {
    mid: ['mid.block_1', 'mid.attn_1', 'mid.block_2'],
    level: (level: number, levels: number) => `up.${levels - 1 - level}`,
    block: 'block',
    levelAttention: false,
  },
} as const;

/** `prefix`, with its dot, stands before every name. */
export function vqWeights(config: VqConfig, prefix = '') {
  const { codebook, zChannels, baseChannels, multipliers, layout = 'llamagen' } = config;
  const widths = multipliers.map((multiplier) => multiplier * baseChannels).reverse();
  const [coarsest, finest] = [widths[0]!, widths.at(-1)!]; // a config has at least one level
  const at = `${prefix}decoder`;
  const [first, attend, second] = NAMES[layout].mid;
  return {
    // in f32: it is small, and all of the image comes out of it
    codebook: table({ name: `${prefix}quantize.embedding.weight`, ...codebook, precise: true }),
    postQuant: pointwise(`${prefix}post_quant_conv`, codebook.width, zChannels),
    convIn: convolution({ name: `${at}.conv_in`, inputs: zChannels, outputs: coarsest }),
    mid: [
      resnetWeights(`${at}.${first}`, coarsest, coarsest),
      attentionWeights(`${at}.${attend}`, coarsest),
      resnetWeights(`${at}.${second}`, coarsest, coarsest),
    ],
    levels: widths.map((_, level) => levelWeights(config, { at, widths, level })),
    normOut: norm(`${at}.norm_out`, finest),
    convOut: convolution({ name: `${at}.conv_out`, inputs: finest, outputs: 3 }),
  } as const;
}

function levelWeights(
  { residualBlocks, layout = 'llamagen' }: VqConfig,
  { at, widths, level }: { readonly at: string; readonly widths: readonly number[]; readonly level: number },
) {
  const names = NAMES[layout];
  const place = `${at}.${names.level(level, widths.length)}`;
  const outputs = widths[level]!; // a level of the config
  const inputs = widths[level - 1] ?? outputs;
  const isFinest = level === widths.length - 1;
  return {
    blocks: Array.from({ length: residualBlocks + 1 }, (_, block) => ({
      resnet: resnetWeights(`${place}.${names.block}.${block}`, block === 0 ? inputs : outputs, outputs),
      attention: names.levelAttention && level === 0 ? attentionWeights(`${place}.attn.${block}`, outputs) : undefined,
    })),
    upsample: isFinest ? undefined : convolution({ name: `${place}.upsample.conv`, inputs: outputs, outputs }),
  };
}

function resnetWeights(at: string, inputs: number, outputs: number) {
  return {
    norm1: norm(`${at}.norm1`, inputs),
    conv1: convolution({ name: `${at}.conv1`, inputs, outputs }),
    norm2: norm(`${at}.norm2`, outputs),
    conv2: convolution({ name: `${at}.conv2`, inputs: outputs, outputs }),
    shortcut: inputs === outputs ? undefined : pointwise(`${at}.nin_shortcut`, inputs, outputs),
  };
}

function attentionWeights(at: string, channels: number) {
  const names = ['q', 'k', 'v'].map((part) => `${at}.${part}`);
  return {
    norm: norm(`${at}.norm`, channels),
    qkv: matrix({
      name: names.map((name) => `${name}.weight`),
      bias: names.map((name) => `${name}.bias`),
      inputs: channels,
      outputs: 3 * channels,
      shape: [channels, channels, 1, 1],
      unquantized: true,
    }),
    out: pointwise(`${at}.proj_out`, channels, channels),
  };
}

function norm(at: string, channels: number) {
  return {
    gain: vector(`${at}.weight`, channels),
    bias: vector(`${at}.bias`, channels),
    groups: GROUPS,
    epsilon: EPSILON,
  };
}

/** A 1 x 1 convolution. */
function pointwise(at: string, inputs: number, outputs: number) {
  return matrix({
    name: `${at}.weight`,
    bias: `${at}.bias`,
    inputs,
    outputs,
    step: 8,
    shape: [outputs, inputs, 1, 1],
    unquantized: true,
  });
}
