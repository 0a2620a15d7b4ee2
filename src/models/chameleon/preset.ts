/** Lumina-mGPT's presets as the rest of the library sees them. */

import { assert } from '../../tensor/errors.ts';
import { VQ_FLOAT, VQ_IGNORED } from '../parts/vq/config.ts';
import { loadVqDecoder } from '../parts/vq/load.ts';
import type { Preset } from '../preset.ts';
import { CHAMELEON_PRESETS } from './config.ts';
import { Chameleon } from './index.ts';
import { CHAMELEON_FLOAT, CHAMELEON_IGNORED, loadChameleon } from './load.ts';

/** Where Chameleon's VQGAN lies in the official repositories. */
const VQGAN_FILES = [
  'vqgan.ckpt',
  'tokenizer/vqgan.ckpt',
  'ckpts/chameleon/tokenizer/vqgan.ckpt',
  'ckpts/image_tokenizer/chameleon/vqgan.ckpt',
];

/** `name` is a key of CHAMELEON_PRESETS. */
export function chameleonPreset(name: string): Preset {
  const config = CHAMELEON_PRESETS[name];
  assert(config, `no preset ${name}`);
  const { grids, layers, heads, kvHeads, headDim, width, intermediateSize, vq, tokens } = config;
  return {
    name,
    grid: { lines: 2 * grids, lineLength: 2 * grids + 1, lineEnd: tokens.newline },
    geometry: { layers, heads, kvHeads, headDim },
    width,
    intermediateSize,
    vocabulary: vq.codebook.count,
    vq,
    conditionTokens: (promptTokens) => promptTokens + 3,
    parts: { checkpoint: {}, vq: { beside: VQGAN_FILES } },
    ignored: (part) => (part === 'vq' ? VQ_IGNORED : CHAMELEON_IGNORED),
    unquantized: (part) => (part === 'vq' ? VQ_FLOAT : CHAMELEON_FLOAT),
    take: async (part, loader) =>
      part === 'vq' ? await loadVqDecoder(loader, vq) : await loadChameleon(loader, config),
    load: async (runtime, { checkpoint, vq: vqgan }, options) => {
      assert(checkpoint && vqgan, `${name}: both checkpoints`);
      return await Chameleon.load(runtime, checkpoint, vqgan, { ...options, name, config });
    },
  };
}
