/** The little of HTTP that the server needs on top of `node:http`. */

import { createHash, timingSafeEqual } from 'node:crypto';
import { type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { ApiError } from './api-error.ts';

/** Bytes that a client may leave unread before pictures on the way are left out. */
const MOST_UNREAD_BYTES = 16 * 2 ** 20;
/** What clients are told of how long a connection waits for their next request, and how long it does. */
const TOLD_IDLE_SECONDS = 5;
const IDLE_MS = 60_000;

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
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > mostBytes) throw tooLarge;
      chunks.push(chunk);
    }
  } catch (error) {
    if (error === tooLarge) throw error;
    throw new ApiError(408, `body: expected to arrive whole, but its client has gone: ${(error as Error).message}`);
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

/** One server-sent event; the first opens the stream. */
export function sendEvent(
  response: ServerResponse,
  event: Readonly<Record<string, unknown>> & { readonly type: string },
): void {
  if (response.destroyed) return;
  if (!response.headersSent)
    response.writeHead(200, { 'Content-Type': 'text/event-stream; charset=utf-8', 'Cache-Control': 'no-store' });
  response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
}

/** Whether a client reads what it gets: for one that does not, no pictures on the way are kept in memory. */
export function keepsUp({ writableLength }: Pick<ServerResponse, 'writableLength'>): boolean {
  return writableLength <= MOST_UNREAD_BYTES;
}

/**
 * Connections stay open far longer than clients are told: where both are the same, a request that is sent at the last moment,
 * or arrives while the process is busy drawing, finds its connection closed and gets no answer.
 */
export function keepConnections(server: Server): void {
  server.keepAliveTimeout = IDLE_MS;
  server.prependListener('request', (_, response) => {
    response.setHeader('Keep-Alive', `timeout=${TOLD_IDLE_SECONDS}`); // instead of Node's, which tells all
  });
}

/**
 * How to close a server: when every answer that it has begun is with its client. `server.close` alone cuts off those that
 * are complete and on their way. Clients that are in the middle of a request or an answer after `mostMs` are cut off.
 */
export function closable(server: Server): (mostMs: number) => Promise<void> {
  const answers = new Set<ServerResponse>();
  server.prependListener('request', (_, response) => {
    answers.add(response);
    response.on('close', () => answers.delete(response));
  });
  return async (mostMs) => {
    const late = setTimeout(() => server.closeAllConnections(), mostMs);
    await Promise.all([...answers].map((answer) => new Promise<void>((over) => answer.on('close', over))));
    await new Promise((closed) => server.close(closed));
    clearTimeout(late);
  };
}

/** A client that takes nothing of an answer that is complete for so long is cut off. */
export function cutOffUnread(response: ServerResponse, idleMs: number): void {
  if (response.writableEnded && !response.writableFinished) response.setTimeout(idleMs, () => void response.destroy());
}

/** Clients that do not send a whole request in time, or what is none, get an answer in the API's form too. */
export function refuseBadRequests(server: Server): void {
  const answers = new WeakMap<object, ServerResponse>();
  server.on('request', (request, response) => void answers.set(request.socket, response));
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    const hasBegun = answers.get(socket)?.headersSent && !answers.get(socket)?.writableFinished;
    if (!socket.writable || hasBegun) return void socket.destroy();
    const refused = badRequest(error);
    const body = JSON.stringify(refused.body);
    const lines = [
      `HTTP/1.1 ${refused.status} ${STATUS_CODES[refused.status]}`,
      'Connection: close',
      'Content-Type: application/json; charset=utf-8',
      `Content-Length: ${Buffer.byteLength(body)}`,
    ];
    socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
  });
}

function badRequest({ code, message }: NodeJS.ErrnoException): ApiError {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return new ApiError(408, 'request: expected to arrive in time, did not');
  if (code === 'HPE_HEADER_OVERFLOW') return new ApiError(431, 'header: expected fewer bytes, got too many');
  return new ApiError(400, `request: expected HTTP, got what is none: ${message}`);
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
