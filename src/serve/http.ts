/** The little of HTTP that the server needs on top of `node:http`. */

import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { ApiError } from './api-error.ts';

/** Bytes that a client may leave unread before it is cut off. */
const MOST_UNREAD_BYTES = 64 * 2 ** 20;

/** Throws ApiError for another content type, too many bytes, or what is no JSON. */
export async function readJson(request: IncomingMessage, mostBytes: number): Promise<unknown> {
  const type = request.headers['content-type'] ?? 'none';
  if (!/^application\/json\s*(;|$)/i.test(type))
    throw new ApiError(415, `content-type: expected application/json, got ${type}`);
  const tooLarge = new ApiError(413, `body: expected at most ${mostBytes} bytes, got more`, {
    headers: { Connection: 'close' },
  });
  if (Number(request.headers['content-length'] ?? 0) > mostBytes) throw tooLarge;
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > mostBytes) throw tooLarge;
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch (error) {
    throw new ApiError(400, `body: expected JSON, got what is none: ${(error as Error).message}`);
  }
}

export function sendJson(
  response: ServerResponse,
  status: number,
  body: object,
  headers: Readonly<Record<string, string>> = {},
): void {
  if (response.headersSent || response.destroyed) return void response.end();
  response.writeHead(status, { 'Content-Type': 'application/json; charset=utf-8', ...headers });
  response.end(JSON.stringify(body));
}

/** One server-sent event; the first opens the stream. A client that reads too slowly is cut off. */
export function sendEvent(
  response: ServerResponse,
  event: Readonly<Record<string, unknown>> & { readonly type: string },
): void {
  if (response.destroyed) return;
  if (!response.headersSent)
    response.writeHead(200, { 'Content-Type': 'text/event-stream; charset=utf-8', 'Cache-Control': 'no-store' });
  response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
  if (response.writableLength > MOST_UNREAD_BYTES) response.destroy();
}

/** In a time that tells nothing of the token. Throws ApiError. */
export function expectToken(request: IncomingMessage, token: string): void {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  const given = /^Bearer (.+)$/i.exec(request.headers.authorization ?? '')?.[1] ?? '';
  if (timingSafeEqual(digest(given), digest(token))) return;
  throw new ApiError(401, 'authorization: expected Bearer and the token of this server, got another or none', {
    code: 'invalid_api_key',
    headers: { 'WWW-Authenticate': 'Bearer' },
  });
}
