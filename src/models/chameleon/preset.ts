/** Lumina-mGPT's presets as the rest of the library sees them. */

import { assert } from '../../tensor/errors.ts';
import { VQ_FLOAT, VQ_IGNORED } from '../parts/vq/config.ts';
import { loadVqDecoder } from '../parts/vq/load.ts';
import type { Preset } from '../preset.ts';
import { LUMINA_PRESETS } from './config.ts';
import { Lumina } from './index.ts';
import { LUMINA_FLOAT, LUMINA_IGNORED, loadLumina } from './load.ts';

/** Where Chameleon's VQGAN lies in the official repositories. */
const VQGAN_FILES = [
  'vqgan.ckpt',
  'tokenizer/vqgan.ckpt',
  'ckpts/chameleon/tokenizer/vqgan.ckpt',
  'ckpts/image_tokenizer/chameleon/vqgan.ckpt',
];

/** `name` is a key of LUMINA_PRESETS. */
export function luminaPreset(name: string): Preset {
  const config = LUMINA_PRESETS[name];
  assert(config, `no preset ${name}`);
  const { grids, layers, heads, kvHeads, headDim, width, hidden, vq, tokens } = config;
  return {
    name,
    grid: { lines: 2 * grids, lineLength: 2 * grids + 1, lineEnd: tokens.newline },
    geometry: { layers, heads, kvHeads, headDim },
    width,
    hidden,
    vocabulary: vq.codebook.count,
    vq,
    conditionTokens: (promptTokens) => promptTokens + 3,
    parts: { checkpoint: {}, vq: { beside: VQGAN_FILES } },
    ignored: (part) => (part === 'vq' ? VQ_IGNORED : LUMINA_IGNORED),
    keptInFloat: (part) => (part === 'vq' ? VQ_FLOAT : LUMINA_FLOAT),
    take: async (part, loader) => (part === 'vq' ? await loadVqDecoder(loader, vq) : await loadLumina(loader, config)),
    load: async (runtime, { checkpoint, vq: vqgan }, options) => {
      assert(checkpoint && vqgan, `${name}: both checkpoints`);
      return await Lumina.load(runtime, checkpoint, vqgan, { ...options, name, config });
    },
  };
}
