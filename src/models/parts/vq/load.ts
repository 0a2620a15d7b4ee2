/** The names of a VQ tokenizer, LlamaGen's or Chameleon's, to our layers. */

import type { GroupNorm } from '../../../kernels/group-norm.ts';
import type { LinearWeight } from '../../../kernels/linear/weight.ts';
import type { LayerLoader } from '../../layer-loader.ts';
import type { VqConfig } from './config.ts';
import type { AttentionBlock, Level, ResnetBlock, VqDecoder } from './decoder.ts';

/** nn.GroupNorm(32, C, eps=1e-6): vq_model.py, Normalize. */
const GROUPS = 32;
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

/** `prefix`, with its dot, stands before every name. Throws FormatError for a missing or mis-shaped tensor. */
export async function loadVqDecoder(loader: LayerLoader, config: VqConfig, prefix = ''): Promise<VqDecoder> {
  const { codebook, zChannels, baseChannels, multipliers, residualBlocks, layout = 'llamagen' } = config;
  const widths = multipliers.map((multiplier) => multiplier * baseChannels).reverse();
  const coarsest = widths[0]!; // a config has at least one level
  const at = `${prefix}decoder`;
  const names = NAMES[layout];
  // in f32: it is small, and all of the image comes out of it
  const table = await loader.table({ name: `${prefix}quantize.embedding.weight`, ...codebook, precise: true });
  const postQuant = await loadPointwise(loader, `${prefix}post_quant_conv`, codebook.width, zChannels);
  const convIn = await loader.conv({ name: `${at}.conv_in`, inputs: zChannels, outputs: coarsest });
  const mid = [
    await loadResnetBlock(loader, `${at}.${names.mid[0]}`, coarsest, coarsest),
    await loadAttentionBlock(loader, `${at}.${names.mid[1]}`, coarsest),
    await loadResnetBlock(loader, `${at}.${names.mid[2]}`, coarsest, coarsest),
  ] as const;
  const levels: Level[] = [];
  for (const [level, outputs] of widths.entries()) {
    const place = `${at}.${names.level(level, widths.length)}`;
    const blocks: Level['blocks'][number][] = [];
    for (let block = 0; block <= residualBlocks; block++) {
      const inputs = block === 0 ? (widths[level - 1] ?? coarsest) : outputs;
      blocks.push({
        resnet: await loadResnetBlock(loader, `${place}.${names.block}.${block}`, inputs, outputs),
        attention:
          names.levelAttention && level === 0
            ? await loadAttentionBlock(loader, `${place}.attn.${block}`, outputs)
            : undefined,
      });
    }
    const isFinest = level === widths.length - 1;
    levels.push({
      blocks,
      upsample: isFinest
        ? undefined
        : await loader.conv({ name: `${place}.upsample.conv`, inputs: outputs, outputs: outputs }),
    });
  }
  const finest = widths.at(-1)!; // likewise
  const normOut = await loadNorm(loader, `${at}.norm_out`, finest);
  const convOut = await loader.conv({ name: `${at}.conv_out`, inputs: finest, outputs: 3 });
  return { codebook: table, postQuant, convIn, mid, levels, normOut, convOut };
}

async function loadResnetBlock(loader: LayerLoader, at: string, inputs: number, outputs: number): Promise<ResnetBlock> {
  return {
    norm1: await loadNorm(loader, `${at}.norm1`, inputs),
    conv1: await loader.conv({ name: `${at}.conv1`, inputs: inputs, outputs: outputs }),
    norm2: await loadNorm(loader, `${at}.norm2`, outputs),
    conv2: await loader.conv({ name: `${at}.conv2`, inputs: outputs, outputs: outputs }),
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
