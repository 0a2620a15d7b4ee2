/** What the server offers, as an OpenAPI document. */

import { VERSION } from '../version.ts';

interface Offer {
  readonly model: string;
  readonly mostImages: number;
  readonly mostPromptCharacters: number;
  readonly hasToken: boolean;
}

export function openApi({ model, mostImages, mostPromptCharacters, hasToken }: Offer): object {
  const json = (schema: object) => ({ 'application/json': { schema } });
  const answer = (description: string, schema: object) => ({ description, content: json(schema) });
  const refused = { description: 'refused', content: json({ $ref: '#/components/schemas/Error' }) };
  const properties = {
    prompt: { type: 'string', minLength: 1, maxLength: mostPromptCharacters },
    model: { type: 'string', enum: [model] },
    n: { type: 'integer', minimum: 1, maximum: mostImages, default: 1 },
    size: { type: 'string', pattern: '^(\\d{1,5}x\\d{1,5}|auto)$', default: 'auto' },
    seed: { type: 'integer', minimum: 0, maximum: Number.MAX_SAFE_INTEGER },
    response_format: { type: 'string', enum: ['b64_json', 'url'], default: 'b64_json' },
    output_format: { type: 'string', enum: ['png'], default: 'png' },
    stream: { type: 'boolean', default: false },
    partial_images: { type: 'integer', minimum: 0, default: 0 },
    guidance_scale: { type: 'number' },
    cfg_interval: { type: 'integer' },
    temperature: { type: 'number' },
    top_k: { type: 'integer' },
    top_p: { type: 'number' },
  };
  const errors = Object.fromEntries([400, 401, 404, 413, 415, 429, 503, 504].map((status) => [status, refused]));
  const generation = {
    operationId: 'createImage',
    summary: 'Draws images; with `stream` as events, pictures on the way among them',
    requestBody: {
      required: true,
      content: json({ type: 'object', required: ['prompt'], additionalProperties: false, properties }),
    },
    responses: {
      200: {
        description: 'drawn',
        content: {
          ...json({ $ref: '#/components/schemas/Images' }),
          'text/event-stream': { schema: { type: 'string' } },
        },
      },
      ...errors,
    },
  };
  const get = (operationId: string, description: string, schema: object) => ({
    get: { operationId, responses: { 200: answer(description, schema) } },
  });
  return {
    openapi: '3.1.0',
    info: { title: 'Rasterline', version: VERSION },
    ...(hasToken && { security: [{ token: [] }] }),
    paths: {
      '/v1/images/generations': { post: generation },
      '/v1/models': get('listModels', 'the model that is served', { type: 'object' }),
      '/healthz': get('health', 'whether it takes requests', { type: 'object' }),
      '/metrics': {
        get: {
          operationId: 'metrics',
          responses: { 200: { description: 'for Prometheus', content: { 'text/plain': {} } } },
        },
      },
      '/openapi.json': get('openApi', 'this document', { type: 'object' }),
    },
    components: {
      ...(hasToken && { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } }),
      schemas: {
        Images: {
          type: 'object',
          properties: {
            created: { type: 'integer' },
            data: {
              type: 'array',
              items: { type: 'object', properties: { b64_json: { type: 'string' }, url: { type: 'string' } } },
            },
            seed: { type: 'integer' },
            size: { type: 'string' },
            output_format: { type: 'string' },
          },
        },
        Error: {
          type: 'object',
          properties: {
            error: {
              type: 'object',
              properties: Object.fromEntries(
                ['message', 'type', 'param', 'code'].map((name) => [name, { type: ['string', 'null'] }]),
              ),
            },
          },
        },
      },
    },
  };
}
