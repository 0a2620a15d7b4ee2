/** Janus-Pro as a family: the released sizes by name. */

import { type Family, presetOf } from '../family.ts';
import type { TextPrompt } from '../text/prompt.ts';
import { type JanusOptions, janusConfig, janusFromTransformers } from './config.ts';
import { defineJanus } from './definition.ts';

const define = (name: string, options: JanusOptions) => defineJanus(name, janusConfig(options));

/** Source: config.json of deepseek-ai/Janus-Pro-1B and -7B. */
export const janus = {
  presets: {
    'janus-pro-1b': presetOf(define, { layers: 24, heads: 16, width: 2048, intermediateSize: 5632 }),
    'janus-pro-7b': presetOf(define, { layers: 30, heads: 32, width: 4096, intermediateSize: 11008 }),
  },
  define,
  fromTransformers: janusFromTransformers,
} satisfies Family<TextPrompt, JanusOptions>;
