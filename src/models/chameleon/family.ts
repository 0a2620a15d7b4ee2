/** Lumina-mGPT, a Chameleon, as a family: the released sizes by name. */

import { type Family, presetOf } from '../family.ts';
import type { TextPrompt } from '../text/prompt.ts';
import { type ChameleonOptions, chameleonConfig, chameleonFromTransformers } from './config.ts';
import { defineChameleon } from './definition.ts';

const define = (name: string, options: ChameleonOptions) => defineChameleon(name, chameleonConfig(options));

export const chameleon = {
  presets: {
    'lumina-mgpt-512': presetOf(define, { grids: 16 }),
    'lumina-mgpt-768': presetOf(define, { grids: 24 }),
    // trained on more tasks; it draws from the same template
    'lumina-mgpt-768-omni': presetOf(define, { grids: 24 }),
    'lumina-mgpt-1024': presetOf(define, { grids: 32 }),
  },
  define,
  fromTransformers: chameleonFromTransformers,
} satisfies Family<TextPrompt, ChameleonOptions>;
