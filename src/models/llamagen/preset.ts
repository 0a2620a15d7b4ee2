/** LlamaGen's presets as the rest of the library sees them. */

import { assert } from '../../tensor/errors.ts';
import type { LayerLoader } from '../layer-loader.ts';
import { EMOJI_T5, FLAN_T5_XL, T5_FLOAT, T5_IGNORED } from '../parts/t5/config.ts';
import { loadT5Encoder } from '../parts/t5/load.ts';
import { VQ_FLOAT, VQ_IGNORED, vqPreset } from '../parts/vq/config.ts';
import { loadVqDecoder } from '../parts/vq/load.ts';
import type { Part, Preset } from '../preset.ts';
import { llamaGenConfig } from './config.ts';
import { LlamaGen } from './index.ts';
import { GPT_FLOAT, gptIgnored, loadCondition, loadTransformer } from './load.ts';

/** Throws OptionError for an unknown name of either. */
export function llamaGenPreset(name: string, vqName?: string): Preset {
  const config = llamaGenConfig(name);
  const { isEmbedded } = config;
  const vq = vqPreset(vqName ?? (isEmbedded ? 'emoji' : 'vq-ds16'));
  const textConfig = isEmbedded ? EMOJI_T5 : FLAN_T5_XL;
  const { condition, side, layers, heads, kvHeads, width, intermediateSize, vocabulary } = config;
  const packaged = (file: string) => (isEmbedded ? { packaged: `checkpoints/emoji/${file}.safetensors` } : {});
  return {
    name,
    grid: { lines: side, lineLength: side },
    geometry: { layers, heads, kvHeads, headDim: width / heads },
    width,
    intermediateSize,
    vocabulary,
    vq,
    ...(condition.kind === 'class' && { classes: condition.classes }),
    conditionTokens: () => (condition.kind === 'class' ? 1 : condition.tokens),
    parts: {
      checkpoint: packaged('gpt'),
      vq: packaged('vq'),
      ...(condition.kind === 'caption' && { textEncoder: isEmbedded ? packaged('t5') : { optional: true } }),
    },
    ...(isEmbedded && condition.kind === 'caption' && { packagedTokenizer: 'checkpoints/emoji/tokenizer.json' }),
    ignored: (part) => ({ checkpoint: gptIgnored(config), vq: VQ_IGNORED, textEncoder: T5_IGNORED })[part],
    unquantized: (part) => ({ checkpoint: GPT_FLOAT, vq: VQ_FLOAT, textEncoder: T5_FLOAT })[part],
    take: async (part: Part, loader: LayerLoader) => {
      if (part === 'vq') return await loadVqDecoder(loader, vq);
      if (part === 'textEncoder' && condition.kind === 'caption')
        return await loadT5Encoder(loader, textConfig, condition.tokens);
      return [await loadTransformer(loader, config), await loadCondition(loader, config)];
    },
    load: async (runtime, { checkpoint, vq: decoder, textEncoder }, options) => {
      assert(checkpoint && decoder, `${name}: both checkpoints`);
      const parts = { ...options, name, config, vqConfig: vq, textConfig, ...(textEncoder && { textEncoder }) };
      return await LlamaGen.load(runtime, checkpoint, decoder, parts);
    },
  };
}
