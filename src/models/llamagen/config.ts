/** LlamaGen's sizes. Source: autoregressive/models/gpt.py, and the released checkpoints of FoundationVision/LlamaGen. */

import { OptionError } from '../../tensor/errors.ts';

export interface SamplingDefaults {
  readonly guidanceScale: number;
  readonly topK: number;
  readonly temperature: number;
  readonly topP: number;
}

/** Sources: autoregressive/sample/sample_c2i.py and sample_t2i.py. */
export const CLASS_SAMPLING: SamplingDefaults = { guidanceScale: 4, topK: 2000, temperature: 1, topP: 1 };
export const CAPTION_SAMPLING: SamplingDefaults = { guidanceScale: 7.5, topK: 1000, temperature: 1, topP: 1 };
/** (ours) What suits the small embedded model: see its card. */
const EMOJI_SAMPLING: SamplingDefaults = { guidanceScale: 2, topK: 0, temperature: 0.3, topP: 1 };

export interface LlamaGenConfig {
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly width: number;
  /** Inner width of the MLP. */
  readonly intermediateSize: number;
  readonly vocabulary: number;
  /** Tokens of a side of the square image. */
  readonly side: number;
  readonly ropeBase: number;
  readonly normEpsilon: number;
  /** Sampling for what a caller leaves out. */
  readonly sampling: SamplingDefaults;
  /** Its files ship with the package. One of them holds a GPT that draws from classes and from texts. */
  readonly isEmbedded?: boolean;
  readonly condition:
    | { readonly kind: 'class'; readonly classes: number }
    | { readonly kind: 'caption'; readonly tokens: number; readonly width: number };
}

/** floor(2 · 4 C / 3), rounded up to a multiple of 256: the MLP's width in gpt.py. */
export function mlpWidth(width: number, multipleOf = 256): number {
  return Math.ceil(Math.floor((8 * width) / 3) / multipleOf) * multipleOf;
}

const SIZES = {
  b: { layers: 12, heads: 12, width: 768 },
  l: { layers: 24, heads: 16, width: 1024 },
  xl: { layers: 36, heads: 20, width: 1280 },
  xxl: { layers: 48, heads: 24, width: 1536 },
  '3b': { layers: 24, heads: 32, width: 3200 },
} as const;

const CLASS_SIDES = { 256: 16, 384: 24, 512: 32 } as const;
const CAPTION_SIDES = { 256: 16, 512: 32 } as const;

function config(
  size: { readonly layers: number; readonly heads: number; readonly width: number },
  rest: Pick<LlamaGenConfig, 'side' | 'condition' | 'vocabulary' | 'sampling' | 'isEmbedded'>,
): LlamaGenConfig {
  return {
    ...size,
    kvHeads: size.heads,
    intermediateSize: mlpWidth(size.width),
    ropeBase: 10000,
    normEpsilon: 1e-5,
    ...rest,
  };
}

function presets(): Record<string, LlamaGenConfig> {
  const table: Record<string, LlamaGenConfig> = {};
  for (const [name, size] of Object.entries(SIZES)) {
    for (const [pixels, side] of Object.entries(CLASS_SIDES)) {
      table[`llamagen-${name}-${pixels}`] = config(size, {
        side,
        vocabulary: 16384,
        sampling: CLASS_SAMPLING,
        condition: { kind: 'class', classes: 1000 },
      });
    }
  }
  for (const [pixels, side] of Object.entries(CAPTION_SIDES)) {
    table[`llamagen-xl-t2i-${pixels}`] = config(SIZES.xl, {
      side,
      vocabulary: 16384,
      sampling: CAPTION_SAMPLING,
      condition: { kind: 'caption', tokens: 120, width: 2048 },
    });
  }
  const emoji = { side: 16, vocabulary: 512, sampling: EMOJI_SAMPLING, isEmbedded: true } as const;
  const small = { layers: 6, heads: 4, width: 256 };
  table['emoji'] = config(small, { ...emoji, condition: { kind: 'class', classes: 306 } });
  table['emoji-text'] = config(small, { ...emoji, condition: { kind: 'caption', tokens: 24, width: 96 } });
  return table;
}

/** Every released model by name, `llamagen-<size>-<pixels>` and `llamagen-xl-t2i-<pixels>`, and the embedded `emoji` and `emoji-text`. */
export const LLAMAGEN_PRESETS: Readonly<Record<string, LlamaGenConfig>> = presets();

/** Throws OptionError naming the presets there are. */
export function llamaGenConfig(name: string): LlamaGenConfig {
  const found = Object.hasOwn(LLAMAGEN_PRESETS, name) ? LLAMAGEN_PRESETS[name] : undefined;
  if (found) return found;
  throw new OptionError(`model: expected one of ${Object.keys(LLAMAGEN_PRESETS).join(', ')}, got ${name}`);
}
