/** Janus-Pro's presets as the rest of the library sees them. */

import { assert } from '../../tensor/errors.ts';
import type { Preset } from '../preset.ts';
import { JANUS_PRESETS } from './config.ts';
import { Janus } from './index.ts';
import { loadJanus } from './load.ts';
import { JANUS_FLOAT, JANUS_IGNORED, officialName, withOfficialNames } from './names.ts';

/** `name` is a key of JANUS_PRESETS. */
export function janusPreset(name: string): Preset {
  const config = JANUS_PRESETS[name];
  assert(config, `no preset ${name}`);
  const { side, layers, heads, kvHeads, headDim, width, intermediateSize, vq } = config;
  return {
    name,
    grid: { lines: side, lineLength: side },
    geometry: { layers, heads, kvHeads, headDim },
    width,
    intermediateSize,
    vocabulary: vq.codebook.count,
    vq,
    conditionTokens: (promptTokens) => promptTokens,
    parts: { checkpoint: {} },
    ignored: () => JANUS_IGNORED,
    officialName,
    withOfficialNames,
    unquantized: () => JANUS_FLOAT,
    take: async (_part, loader) => await loadJanus(loader, config),
    load: async (runtime, { checkpoint }, options) => {
      assert(checkpoint, `${name}: a checkpoint`);
      return await Janus.load(runtime, checkpoint, { ...options, name, config });
    },
  };
}
