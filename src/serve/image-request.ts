/** What a client asks for, in the fields of OpenAI's images API and a few of ours. */

import { flag, numberFrom, oneOf, required, text, whole } from '../tensor/checks.ts';
import type { Check, OptionTable } from '../tensor/options.ts';

export interface ImageRequest {
  /** For models of classes, the number of a class, or of the embedded model its name. */
  readonly prompt: string;
  /** Name of the model that is served. */
  readonly model?: string;
  /** Images; image i is the one that `generate` draws as number i of the seed. Default 1. */
  readonly n?: number;
  /** In pixels, such as `1024x576`, or `auto`. */
  readonly size?: string;
  /** Default: one by chance, which the answer tells. */
  readonly seed?: number;
  /** `url` is a data: URL. Default `b64_json`. */
  readonly response_format?: 'b64_json' | 'url';
  readonly output_format?: 'png';
  readonly stream?: boolean;
  /** Pictures on the way, at lines evenly spaced; at most one a line. Default 0. */
  readonly partial_images?: number;
  readonly guidance_scale?: number;
  readonly cfg_interval?: number;
  readonly temperature?: number;
  readonly top_k?: number;
  readonly top_p?: number;
}

/** Numbers of the draw are the sampler's to check. */
const NUMBER = numberFrom(-(2 ** 53), 2 ** 53);

/** @param most.lines of the model's image */
export function imageRequestTable(most: {
  readonly images: number;
  readonly promptCharacters: number;
  readonly lines: number;
}): OptionTable<ImageRequest> {
  const prompt: Check<string> = {
    expected: `a text of 1 to ${most.promptCharacters} characters`,
    fits: (value): value is string => text.fits(value) && value.length <= most.promptCharacters,
  };
  return {
    place: 'body',
    options: {
      prompt: required(prompt),
      model: text,
      n: whole(1, most.images),
      size: {
        expected: "a size such as '1024x576', or 'auto'",
        fits: (value): value is string => typeof value === 'string' && /^(\d{1,5}x\d{1,5}|auto)$/.test(value),
      },
      seed: whole(0),
      response_format: oneOf('b64_json', 'url'),
      output_format: oneOf('png'),
      stream: flag,
      partial_images: whole(0, most.lines),
      guidance_scale: NUMBER,
      cfg_interval: NUMBER,
      temperature: NUMBER,
      top_k: NUMBER,
      top_p: NUMBER,
    },
  };
}

/** Lines after which a picture is sent, evenly spaced. */
export function previewLines(pictures: number, lines: number): ReadonlySet<number> {
  return new Set(Array.from({ length: pictures }, (_, k) => Math.ceil(((k + 1) * lines) / (pictures + 1))));
}
