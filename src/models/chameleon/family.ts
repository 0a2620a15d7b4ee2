/** Lumina-mGPT, a Chameleon, as a family: the released sizes by name. */

import type { Family, Preset } from '../family.ts';
import type { TextPrompt } from '../text/prompt.ts';
import { type ChameleonOptions, chameleonConfig, chameleonFromTransformers } from './config.ts';
import { defineChameleon } from './definition.ts';

export const chameleon = {
  presets: {
    'lumina-mgpt-512': preset({ grids: 16 }),
    'lumina-mgpt-768': preset({ grids: 24 }),
    // trained on more tasks; it draws from the same template
    'lumina-mgpt-768-omni': preset({ grids: 24 }),
    'lumina-mgpt-1024': preset({ grids: 32 }),
  },
  define: (name: string, options: ChameleonOptions) => defineChameleon(name, chameleonConfig(options)),
  fromTransformers: chameleonFromTransformers,
} satisfies Family<TextPrompt, ChameleonOptions>;

function preset(options: ChameleonOptions): Preset<TextPrompt> {
  return (name, overrides) => defineChameleon(name, chameleonConfig({ ...options, ...overrides }));
}
