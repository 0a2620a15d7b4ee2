/** LlamaGen as a family: every released size by name, and the embedded models. */

import { type Family, type Preset, presetOf } from '../family.ts';
import { EMOJI_T5 } from '../parts/t5/config.ts';
import type { TextPrompt } from '../text/prompt.ts';
import type { CaptionPrompt, ClassPrompt, LlamaGenPrompt } from './condition.ts';
import { type LlamaGenOptions, llamaGenConfig } from './config.ts';
import { defineLlamaGen } from './definition.ts';

const B = { layers: 12, heads: 12, width: 768 };
const L = { layers: 24, heads: 16, width: 1024 };
const XL = { layers: 36, heads: 20, width: 1280 };
const XXL = { layers: 48, heads: 24, width: 1536 };
const THREE_B = { layers: 24, heads: 32, width: 3200 };
const T2I = { kind: 'caption', tokens: 120 } as const;

/** (ours) Shipped with this package; what sampling suits them see on their card. */
const EMOJI: LlamaGenOptions = {
  layers: 6,
  heads: 4,
  width: 256,
  side: 16,
  vocabulary: 512,
  vq: 'emoji',
  sampling: { guidanceScale: 2, topK: 0, temperature: 0.3, topP: 1 },
};
const EMOJI_FOLDER = 'checkpoints/emoji';

/** Source: the released checkpoints of FoundationVision/LlamaGen. */
export const llamagen = {
  presets: {
    'llamagen-b-256': classes({ ...B, side: 16 }),
    'llamagen-b-384': classes({ ...B, side: 24 }),
    'llamagen-b-512': classes({ ...B, side: 32 }),
    'llamagen-l-256': classes({ ...L, side: 16 }),
    'llamagen-l-384': classes({ ...L, side: 24 }),
    'llamagen-l-512': classes({ ...L, side: 32 }),
    'llamagen-xl-256': classes({ ...XL, side: 16 }),
    'llamagen-xl-384': classes({ ...XL, side: 24 }),
    'llamagen-xl-512': classes({ ...XL, side: 32 }),
    'llamagen-xxl-256': classes({ ...XXL, side: 16 }),
    'llamagen-xxl-384': classes({ ...XXL, side: 24 }),
    'llamagen-xxl-512': classes({ ...XXL, side: 32 }),
    'llamagen-3b-256': classes({ ...THREE_B, side: 16 }),
    'llamagen-3b-384': classes({ ...THREE_B, side: 24 }),
    'llamagen-3b-512': classes({ ...THREE_B, side: 32 }),
    'llamagen-xl-t2i-256': captions({ ...XL, side: 16, condition: T2I }),
    'llamagen-xl-t2i-512': captions({ ...XL, side: 32, condition: T2I }),
    emoji: classes({ ...EMOJI, condition: { kind: 'class', classes: 306 } }, EMOJI_FOLDER),
    'emoji-text': captions({ ...EMOJI, condition: { kind: 'caption', tokens: 24, encoder: EMOJI_T5 } }, EMOJI_FOLDER),
  },
  define: (name: string, options: LlamaGenOptions) => define(name, options),
} satisfies Family<LlamaGenPrompt, LlamaGenOptions>;

function classes(options: LlamaGenOptions, folder?: string): Preset<ClassPrompt> {
  return presetOf((name, own) => define(name, own, folder), options);
}

function captions(options: LlamaGenOptions, folder?: string): Preset<CaptionPrompt | TextPrompt> {
  return presetOf((name, own) => define(name, own, folder), options);
}

function define(name: string, options: LlamaGenOptions, folder?: string) {
  return defineLlamaGen(name, llamaGenConfig(options), folder);
}
