/** A server of images in the form of OpenAI's API: `rasterline/serve`, for Node. */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CACHE_OPTIONS, type CacheOptions } from '../cache/policy.ts';
import { MODEL } from '../generate-options.ts';
import type { ImageModel } from '../models/image-model.ts';
import { MODEL_NAMES, type ModelName, modelDefinition } from '../models/registry.ts';
import { callback, flag, nested, text, whole } from '../tensor/checks.ts';
import type { DeviceError } from '../tensor/errors.ts';
import { checkOptions, checkValue, type OptionTable } from '../tensor/options.ts';
import { ApiError, apiError } from './api-error.ts';
import { DrawingLoop } from './drawing-loop.ts';
import { answerGeneration } from './generation.ts';
import {
  closable,
  cutOffUnread,
  expectToken,
  keepConnections,
  readJson,
  refuseBadRequests,
  sendEvent,
  sendJson,
} from './http.ts';
import { openMetrics } from './metrics.ts';
import { openApi } from './openapi.ts';

export interface ServeOptions {
  /** Default 127.0.0.1: this machine alone. */
  readonly host?: string;
  /** 0: any that is free. Default 8080. */
  readonly port?: number;
  /** What clients must send as `Authorization: Bearer`. Default: nothing. */
  readonly token?: string;
  /** Most images of a run (`imagesThatFit`). Default 8. */
  readonly atOnce?: number;
  /** Most images that wait; more are refused with 429. Default 64. */
  readonly queueImages?: number;
  /** How long a run that is not full waits for company, anew whenever some comes. Default 10. */
  readonly gatherMs?: number;
  /** Most images of a request. Default 10. */
  readonly mostImages?: number;
  /** Default 4000. */
  readonly mostPromptCharacters?: number;
  /** Of a request, waiting included. Default ten minutes. */
  readonly requestTimeoutMs?: number;
  /** In which a client must send its whole request, and take some of its answer. Default one minute. */
  readonly clientTimeoutMs?: number;
  /** What is remembered of every image. Default: all. */
  readonly cache?: CacheOptions;
  /** Whether prompts name classes. Default: what is known of the model. */
  readonly drawsClasses?: boolean;
  /** Loads the model again after a lost device, as for `generateAndRecover`. Default: runs fail from then on. */
  readonly reload?: (lost: DeviceError) => Promise<ImageModel<object>>;
  /** Told of errors that are the server's own. */
  readonly onError?: (error: unknown) => void;
}

export const SERVE_OPTIONS: OptionTable<ServeOptions> = {
  place: 'serve',
  options: {
    host: text,
    port: whole(0, 65535),
    token: { ...text, isSecret: true },
    atOnce: whole(1, 2 ** 20),
    queueImages: whole(1, 2 ** 20),
    gatherMs: whole(0, 60_000),
    mostImages: whole(1, 2 ** 20),
    mostPromptCharacters: whole(1, 2 ** 20),
    requestTimeoutMs: whole(1, 2 ** 31 - 1),
    clientTimeoutMs: whole(1, 2 ** 31 - 1),
    cache: nested(CACHE_OPTIONS),
    drawsClasses: flag,
    reload: callback(),
    onError: callback(),
  },
};

/** A server that listens. */
export interface ImageServer {
  /** Such as `http://127.0.0.1:8080`. */
  readonly url: string;
  /** Takes no more requests, ends those it has, and stops. */
  close(): Promise<void>;
}

/** Bytes of a body beside its prompt. */
const MOST_OTHER_BYTES = 16 * 1024;

/**
 * Serves a model: `POST /v1/images/generations`, `GET /v1/models`, `/healthz`, `/metrics` and `/openapi.json`. Requests that
 * arrive together share runs, and an image is the one that `generate` draws for its seed and number alone. The model stays
 * the caller's.
 *
 * Throws OptionError for wrong options, without the package `prom-client`, and what `listen` throws.
 *
 * @example
 * const server = await serve(await loadModel(await Runtime.open(), 'emoji'), { port: 0 });
 * await server.close();
 */
export async function serve<Prompt>(model: ImageModel<Prompt>, given: ServeOptions = {}): Promise<ImageServer> {
  const options = checkOptions(SERVE_OPTIONS, given);
  checkValue('model', MODEL, model);
  const { host = '127.0.0.1', port = 8080, token, mostImages = 10, mostPromptCharacters = 4000, onError } = options;
  const { atOnce = 8, queueImages = 64, gatherMs = 10, clientTimeoutMs = 60_000, reload } = options;
  const metrics = await openMetrics(() => loop);
  const loop: DrawingLoop = new DrawingLoop(model as unknown as ImageModel<object>, {
    ...{ atOnce, queueImages, gatherMs, reload, onRun: metrics.ran },
  });
  const {
    drawsClasses = MODEL_NAMES.includes(model.name as ModelName) && modelDefinition(model.name).classes !== undefined,
  } = options;
  const limits = { mostImages, mostPromptCharacters, requestTimeoutMs: options.requestTimeoutMs ?? 600_000 };
  const document = openApi({ model: model.name, mostImages, mostPromptCharacters, hasToken: token !== undefined });
  const state = { isClosing: false };

  const routes: Readonly<Record<string, (request: IncomingMessage, response: ServerResponse) => Promise<void>>> = {
    'POST /v1/images/generations': async (request, response) => {
      const start = performance.now();
      const body = await readJson(request, 4 * mostPromptCharacters + MOST_OTHER_BYTES);
      if (state.isClosing) throw closing();
      const onFirstPreview = () => metrics.firstPreview((performance.now() - start) / 1000);
      await answerGeneration(body, loop, {
        ...limits,
        cache: options.cache ?? {},
        drawsClasses,
        response,
        onFirstPreview,
      });
    },
    'GET /v1/models': async (_, response) =>
      sendJson(response, 200, { object: 'list', data: [{ id: model.name, object: 'model', owned_by: 'rasterline' }] }),
    'GET /healthz': async (_, response) => {
      if (state.isClosing) throw closing();
      sendJson(response, 200, { status: 'ok' });
    },
    'GET /metrics': async (_, response) => {
      response.writeHead(200, { 'Content-Type': metrics.contentType });
      response.end(await metrics.text());
    },
    'GET /openapi.json': async (_, response) => sendJson(response, 200, document),
  };

  const untilWhole = {
    headersTimeout: clientTimeoutMs,
    requestTimeout: clientTimeoutMs,
    connectionsCheckingInterval: Math.min(5000, clientTimeoutMs),
  };
  const server = createServer(untilWhole, async (request, response) => {
    const start = performance.now();
    const path = (request.url ?? '').split('?')[0];
    const route = `${request.method} ${path}`;
    response.on('close', () => {
      const known = route in routes ? route : 'other';
      metrics.answered({ route: known, status: response.statusCode, seconds: (performance.now() - start) / 1000 });
    });
    try {
      if (token !== undefined && path !== '/healthz') expectToken(request, token);
      const answer = Object.hasOwn(routes, route) ? routes[route] : undefined;
      if (!answer) throw unknownRoute(routes, request.method, path);
      await answer(request, response);
    } catch (thrown) {
      const error = apiError(thrown);
      if (error.status >= 500 && !(thrown instanceof ApiError)) onError?.(thrown);
      if (response.headersSent) {
        sendEvent(response, { type: 'error', ...error.body });
        response.end();
      } else sendJson(response, error.status, error.body, error.more.headers);
    } finally {
      cutOffUnread(response, clientTimeoutMs);
    }
  });
  refuseBadRequests(server);
  keepConnections(server);
  const close = closable(server);
  await new Promise<void>((listening, failed) => {
    server.once('error', failed);
    server.listen(port, host, listening);
  });
  const { address, family, port: bound } = server.address() as AddressInfo;
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${bound}`,
    async close() {
      state.isClosing = true;
      await loop.drained();
      await close(clientTimeoutMs);
    },
  };
}

function closing(): ApiError {
  return new ApiError(503, 'server: expected to go on, is closing; try again later', {
    headers: { 'Retry-After': '10', Connection: 'close' },
  });
}

function unknownRoute(routes: object, method = '', path = ''): ApiError {
  const known = Object.keys(routes).filter((route) => route.endsWith(` ${path}`));
  const [other] = known;
  if (other === undefined) return new ApiError(404, `path: expected one of /openapi.json, got ${path.slice(0, 100)}`);
  const allow = other.split(' ')[0]!; // a route has a method
  return new ApiError(405, `method: expected ${allow} for ${path}, got ${method}`, { headers: { Allow: allow } });
}
