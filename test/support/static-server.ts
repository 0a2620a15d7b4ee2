import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css',
  '.js': 'text/javascript',
  '.json': 'application/json',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
};
const EMPTY_PAGE = '<!doctype html><meta charset="utf-8"><title>test</title><link rel="icon" href="data:,">';

/** What went over the wire: path, and bytes of the body. */
export type Answered = { readonly path: string; readonly bytes: number };

export interface StaticServer {
  readonly url: string;
  readonly log: readonly Answered[];
  close(): Promise<void>;
}

/** Files of one folder over http on localhost, which browsers count as secure; single byte ranges are answered. */
export async function serveFolder(folder: string): Promise<StaticServer> {
  const log: Answered[] = [];
  const server = createServer(async (request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname));
    if (path === '/') {
      response.writeHead(200, { 'content-type': TYPES['.html'] }).end(EMPTY_PAGE);
      return;
    }
    const bytes = await readFile(join(folder, path)).catch(() => undefined);
    if (!bytes) {
      response.writeHead(404).end();
      return;
    }
    const type = TYPES[extname(path)] ?? 'application/octet-stream';
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
    if (!range) {
      log.push({ path, bytes: bytes.length });
      response
        .writeHead(200, { 'content-type': type, 'accept-ranges': 'bytes', 'content-length': bytes.length })
        .end(bytes);
      return;
    }
    const first = Number(range[1]);
    const part = bytes.subarray(first, range[2] ? Number(range[2]) + 1 : bytes.length);
    log.push({ path, bytes: part.length });
    const contentRange = `bytes ${first}-${first + part.length - 1}/${bytes.length}`;
    response
      .writeHead(206, { 'content-type': type, 'content-range': contentRange, 'content-length': part.length })
      .end(part);
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const close = () =>
    new Promise<void>((closed) => {
      server.close(() => closed());
      server.closeAllConnections();
    });
  return { url: `http://localhost:${(server.address() as AddressInfo).port}/`, log, close };
}
