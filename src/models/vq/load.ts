/** LlamaGen's names of the VQ tokenizer to our layers. */

import { allocateConv, type ConvWeight, TAPS, writeConvBlock } from '../../kernels/conv-weight.ts';
import { allocateTable, type EmbeddingTable, writeRows } from '../../kernels/embedding.ts';
import type { GroupNorm } from '../../kernels/group-norm.ts';
import { LANES, type LinearWeight } from '../../kernels/linear-weight.ts';
import type { LayerLoader } from '../load-layers.ts';
import type { VqConfig } from './config.ts';
import type { AttentionBlock, Level, ResnetBlock, VqDecoder } from './decoder.ts';

/** nn.GroupNorm(32, C, eps=1e-6): vq_model.py, Normalize. */
const GROUPS = 32;
const EPSILON = 1e-6;
/** Least length that a row is divided by: torch.nn.functional.normalize. */
const LEAST_LENGTH = 1e-12;

/** `prefix`, with its dot, stands before every name. Throws FormatError for a missing or mis-shaped tensor. */
export async function loadVqDecoder(loader: LayerLoader, config: VqConfig, prefix = ''): Promise<VqDecoder> {
  const { codebook, zChannels, baseChannels, multipliers, residualBlocks } = config;
  const widths = multipliers.map((multiplier) => multiplier * baseChannels).reverse();
  const coarsest = widths[0]!; // a config has at least one level
  const at = `${prefix}decoder`;
  const table = await loadCodebook(loader, `${prefix}quantize.embedding.weight`, codebook);
  const postQuant = await loadPointwise(loader, `${prefix}post_quant_conv`, codebook.width, zChannels);
  const convIn = await loadConv(loader, `${at}.conv_in`, zChannels, coarsest);
  const mid = [
    await loadResnetBlock(loader, `${at}.mid.0`, coarsest, coarsest),
    await loadAttentionBlock(loader, `${at}.mid.1`, coarsest),
    await loadResnetBlock(loader, `${at}.mid.2`, coarsest, coarsest),
  ] as const;
  const levels: Level[] = [];
  for (const [level, outputs] of widths.entries()) {
    const place = `${at}.conv_blocks.${level}`;
    const blocks: Level['blocks'][number][] = [];
    for (let block = 0; block <= residualBlocks; block++) {
      const inputs = block === 0 ? (widths[level - 1] ?? coarsest) : outputs;
      blocks.push({
        resnet: await loadResnetBlock(loader, `${place}.res.${block}`, inputs, outputs),
        attention: level === 0 ? await loadAttentionBlock(loader, `${place}.attn.${block}`, outputs) : undefined,
      });
    }
    const isFinest = level === widths.length - 1;
    levels.push({
      blocks,
      upsample: isFinest ? undefined : await loadConv(loader, `${place}.upsample.conv`, outputs, outputs),
    });
  }
  const finest = widths.at(-1)!; // likewise
  const normOut = await loadNorm(loader, `${at}.norm_out`, finest);
  const convOut = await loadConv(loader, `${at}.conv_out`, finest, 3);
  return { codebook: table, postQuant, convIn, mid, levels, normOut, convOut };
}

async function loadResnetBlock(loader: LayerLoader, at: string, inputs: number, outputs: number): Promise<ResnetBlock> {
  return {
    norm1: await loadNorm(loader, `${at}.norm1`, inputs),
    conv1: await loadConv(loader, `${at}.conv1`, inputs, outputs),
    norm2: await loadNorm(loader, `${at}.norm2`, outputs),
    conv2: await loadConv(loader, `${at}.conv2`, outputs, outputs),
    shortcut: inputs === outputs ? undefined : await loadPointwise(loader, `${at}.nin_shortcut`, inputs, outputs),
  };
}

async function loadAttentionBlock(loader: LayerLoader, at: string, channels: number): Promise<AttentionBlock> {
  const names = ['q', 'k', 'v'].map((part) => `${at}.${part}`);
  return {
    norm: await loadNorm(loader, `${at}.norm`, channels),
    qkv: await loader.linear({
      name: names.map((name) => `${name}.weight`),
      bias: names.map((name) => `${name}.bias`),
      inputs: channels,
      outputs: 3 * channels,
      shape: [channels, channels, 1, 1],
    }),
    out: await loadPointwise(loader, `${at}.proj_out`, channels, channels),
  };
}

async function loadNorm(loader: LayerLoader, at: string, channels: number): Promise<GroupNorm> {
  const gain = await loader.vector(`${at}.weight`, channels);
  return { gain, bias: await loader.vector(`${at}.bias`, channels), groups: GROUPS, epsilon: EPSILON };
}

async function loadPointwise(loader: LayerLoader, at: string, inputs: number, outputs: number): Promise<LinearWeight> {
  return await loader.linear({
    name: `${at}.weight`,
    bias: `${at}.bias`,
    inputs,
    outputs,
    shape: [outputs, inputs, 1, 1],
  });
}

async function loadConv(loader: LayerLoader, at: string, inputs: number, outputs: number): Promise<ConvWeight> {
  const bias = await loader.vector(`${at}.bias`, outputs);
  const weight = allocateConv(loader.runtime, { label: at, inputs, outputs, dtype: loader.dtype, bias });
  loader.own(weight.matrix);
  const width = TAPS * inputs;
  const slices = loader.weights.rows(`${at}.weight`, [outputs, width], [outputs, inputs, 3, 3], LANES);
  for await (const { first, values } of slices) {
    for (let row = 0; row * width < values.length; row += LANES) {
      writeConvBlock(weight, (first + row) / LANES, values.subarray(row * width, (row + LANES) * width));
    }
  }
  return weight;
}

/** Kept in f32: it is small, and all of the image comes out of it. */
async function loadCodebook(
  loader: LayerLoader,
  label: string,
  { count, width, normalised }: VqConfig['codebook'],
): Promise<EmbeddingTable> {
  const table = loader.own(allocateTable(loader.runtime, { label, count, width, dtype: 'f32' }));
  for await (const { first, values } of loader.weights.rows(label, [count, width])) {
    writeRows(table, first, normalised ? normaliseRows(values, width) : values);
  }
  return table;
}

/** Each row divided by its length. `rows` [n, width]. */
export function normaliseRows(rows: Float32Array, width: number): Float32Array<ArrayBuffer> {
  const out = new Float32Array(rows.length);
  for (let first = 0; first < rows.length; first += width) {
    const row = rows.subarray(first, first + width);
    const length = Math.max(LEAST_LENGTH, Math.hypot(...row));
    for (const [i, value] of row.entries()) out[first + i] = value / length;
  }
  return out;
}
