/** `POST /v1/images/generations`: from a request to its images, and the answer, whole or as events. */

import { randomInt } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import type { CacheOptions } from '../cache/policy.ts';
import { classIds } from '../class-names.ts';
import type { GeneratedImage } from '../generated-image.ts';
import { encodePng } from '../png.ts';
import { recipeFor } from '../recipe-for.ts';
import { resolveSampling, type SamplingOptions } from '../sampler.ts';
import { checkOptions } from '../tensor/options.ts';
import { ApiError } from './api-error.ts';
import type { DrawingLoop } from './drawing-loop.ts';
import { keepsUp, sendEvent, sendJson } from './http.ts';
import type { ImageJob } from './image-queue.ts';
import { type ImageRequest, imageRequestTable, previewLines } from './image-request.ts';

export interface GenerationOptions {
  readonly cache: CacheOptions;
  readonly drawsClasses: boolean;
  readonly mostImages: number;
  readonly mostPromptCharacters: number;
  readonly requestTimeoutMs: number;
}

/** Answers. Throws ApiError, and what the library throws of a request that is wrong; a stream that has begun ends in an event. */
export async function answerGeneration(
  body: unknown,
  loop: DrawingLoop,
  options: GenerationOptions & { readonly response: ServerResponse; readonly onFirstPreview: () => void },
): Promise<void> {
  const { response, requestTimeoutMs, onFirstPreview } = options;
  const { asked, prompt, settings, lines } = await expectRequest(body, loop, options);
  const { n = 1, seed = randomInt(2 ** 47), partial_images: pictures = 0, stream = false } = asked;
  const png = (image: GeneratedImage, firstImage: number) => {
    const recipe = recipeFor(loop.model, { prompt, seed, firstImage, ...settings }, 0);
    return Buffer.from(encodePng(image, recipe)).toString('base64');
  };
  const about = ({ width, height }: GeneratedImage) => ({ seed, output_format: 'png', size: `${width}x${height}` });
  const created = Math.floor(Date.now() / 1000);
  const event = (type: string, image: GeneratedImage, index: number) => ({
    ...{ type: `image_generation.${type}`, b64_json: png(image, index), created_at: created, index, ...about(image) },
  });
  const previewed = [...previewLines(stream ? pictures : 0, lines)];

  const gone = new AbortController();
  const timedOut = () => new ApiError(504, `request: expected to be done in ${requestTimeoutMs} ms, was not`);
  const timeout = setTimeout(() => gone.abort(timedOut()), requestTimeoutMs);
  response.on('close', () => gone.abort(new ApiError(499, 'request: expected its client to wait, but it has gone')));
  const jobs: ImageJob[] = [];
  const images = Array.from({ length: n }, (_, identity) => {
    return new Promise<GeneratedImage>((resolve, reject) => {
      gone.signal.addEventListener('abort', () => reject(gone.signal.reason));
      jobs.push({
        ...{ kind: JSON.stringify([settings, asked.size ?? 'auto']), settings, prompt, seed, identity },
        ...{ signal: gone.signal, previewLines: new Set(previewed) },
        onPreview: (image, line) => {
          if (!keepsUp(response)) return;
          if (!response.headersSent) onFirstPreview();
          const partial_image_index = previewed.indexOf(line);
          sendEvent(response, { ...event('partial_image', image, identity), partial_image_index });
        },
        onEnd: (end) => ('image' in end ? resolve(end.image) : reject(end.error)),
      });
    });
  });
  try {
    if (!loop.add(jobs)) throw queueFull(loop, n);
    if (stream) {
      for (const [index, image] of images.entries()) sendEvent(response, event('completed', await image, index));
      return void response.end();
    }
    const drawn = await Promise.all(images);
    const data = drawn.map((image, i) =>
      asked.response_format === 'url' ? { url: `data:image/png;base64,${png(image, i)}` } : { b64_json: png(image, i) },
    );
    sendJson(response, 200, { created, data, ...about(drawn[0]!) }); // n is 1 at least
  } finally {
    clearTimeout(timeout);
    for (const image of images) image.catch(() => undefined); // told once
  }
}

interface Asked {
  readonly asked: ImageRequest;
  readonly prompt: object;
  readonly settings: SamplingOptions & { readonly cache: CacheOptions };
  readonly lines: number;
}

/** Throws for all that is wrong with a request, before it waits with others. */
async function expectRequest(body: unknown, { model }: DrawingLoop, options: GenerationOptions): Promise<Asked> {
  const most = { images: options.mostImages, promptCharacters: options.mostPromptCharacters };
  // a picture on the way for every line, of whichever size it asks for
  const first = checkOptions(imageRequestTable({ ...most, lines: 2 ** 16 }), body) as ImageRequest;
  if (first.model !== undefined && first.model !== model.name)
    throw new ApiError(404, `model: expected ${model.name}, got ${first.model}`, {
      param: 'model',
      code: 'model_not_found',
    });
  const prompt = await promptOf(model.name, first, options.drawsClasses);
  const { lines } = model.grid(prompt);
  const asked = checkOptions(imageRequestTable({ ...most, lines }), body) as ImageRequest;
  const settings = { ...samplingOf(asked), cache: options.cache };
  const { guidanceScale } = resolveSampling(samplingOf(asked), model.defaults);
  model.condition(prompt, guidanceScale > 1).dispose(); // refuses what it would refuse in a run that others share
  return { asked, prompt, settings, lines };
}

async function promptOf(
  model: string,
  { prompt, size = 'auto' }: ImageRequest,
  drawsClasses: boolean,
): Promise<object> {
  const [width, height] = size === 'auto' ? [] : size.split('x').map(Number);
  const inPixels = width && height ? { width, height } : {};
  return drawsClasses
    ? { classes: await classIds(model, [prompt.trim()]), ...inPixels }
    : { prompts: [prompt], ...inPixels };
}

function samplingOf(asked: ImageRequest): SamplingOptions {
  const { guidance_scale, cfg_interval, temperature, top_k, top_p } = asked;
  const all = { guidanceScale: guidance_scale, cfgInterval: cfg_interval, temperature, topK: top_k, topP: top_p };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

function queueFull({ retryAfterSeconds }: DrawingLoop, images: number): ApiError {
  return new ApiError(429, `queue: expected room for ${images} images, got a full one; try again later`, {
    ...{ code: 'queue_full', headers: { 'Retry-After': String(retryAfterSeconds) } },
  });
}
