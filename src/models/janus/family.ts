/** Janus-Pro as a family: the released sizes by name. */

import type { Family, Preset } from '../family.ts';
import type { TextPrompt } from '../text/prompt.ts';
import { type JanusOptions, janusConfig, janusFromTransformers } from './config.ts';
import { defineJanus } from './definition.ts';

/** Source: config.json of deepseek-ai/Janus-Pro-1B and -7B. */
export const janus = {
  presets: {
    'janus-pro-1b': preset({ layers: 24, heads: 16, width: 2048, intermediateSize: 5632 }),
    'janus-pro-7b': preset({ layers: 30, heads: 32, width: 4096, intermediateSize: 11008 }),
  },
  define: (name: string, options: JanusOptions) => defineJanus(name, janusConfig(options)),
  fromTransformers: janusFromTransformers,
} satisfies Family<TextPrompt, JanusOptions>;

function preset(options: JanusOptions): Preset<TextPrompt> {
  return (name, overrides) => defineJanus(name, janusConfig({ ...options, ...overrides }));
}
