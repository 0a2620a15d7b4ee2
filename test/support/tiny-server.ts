/** A server of the tiny model, and who asks it. */

import OpenAI from 'openai';
import type { ImageModel } from '../../src/models/image-model.ts';
import type { LlamaGenPrompt } from '../../src/models/llamagen/condition.ts';
import { type ImageServer, type ServeOptions, serve } from '../../src/serve/index.ts';

export function serveTiny(model: ImageModel<LlamaGenPrompt>, options: ServeOptions = {}): Promise<ImageServer> {
  return serve(model, { port: 0, drawsClasses: true, gatherMs: 0, ...options });
}

export function officialClient({ url }: ImageServer, apiKey = 'none'): OpenAI {
  return new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 });
}
