/** A server that speaks the hub's paths, redirects to a second host, and fails as it is told. */

import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export const COMMIT = '0123456789abcdef0123456789abcdef01234567';

/** What happens to the next requests of file bytes, one each; then all is well. */
export type Fault = 'cut' | 'short' | 'error' | 'cut-error' | 'hang' | 'ignore-range' | 'changed' | 'none';

export interface HubServer {
  readonly url: string;
  readonly faults: Fault[];
  /** Requests so far: path, range and authorization. */
  readonly log: {
    readonly host: 'hub' | 'cdn';
    readonly path: string;
    readonly range?: string;
    readonly token?: string;
  }[];
  close(): Promise<void>;
}

/** `files` by name, of repository `owner/tiny`; names in `small` are listed with git's hash, as the hub does for what git holds. */
export async function serveHub(
  files: ReadonlyMap<string, Uint8Array>,
  small: readonly string[] = [],
): Promise<HubServer> {
  const faults: Fault[] = [];
  const log: HubServer['log'] = [];
  const note = (host: 'hub' | 'cdn', { url = '', headers }: IncomingMessage) => {
    const { range, authorization } = headers;
    log.push({ host, path: url, ...(range && { range }), ...(authorization && { token: authorization }) });
  };

  const cdn = createServer((request, response) => {
    note('cdn', request);
    const bytes = files.get(decodeURIComponent((request.url ?? '').slice(1)));
    if (bytes) sendBytes(request, response, bytes, faults.shift() ?? 'none');
    else response.writeHead(404).end();
  });
  const cdnUrl = await listen(cdn, '127.0.0.1');
  const hub = createServer((request, response) => {
    note('hub', request);
    const [, repository, rest] = /^\/(?:api\/models\/)?(owner\/tiny)\/(.*)$/.exec(request.url ?? '') ?? [];
    if (!repository || !rest) return void response.writeHead(404).end();
    if (request.url?.startsWith('/api/')) {
      if (!/^revision\/(main|v1|[0-9a-f]{40})\?blobs=true$/.test(rest)) return void response.writeHead(404).end();
      const siblings = [...files].map(([rfilename, bytes]) => ({
        rfilename,
        size: bytes.length,
        blobId: createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex'),
        ...(!small.includes(rfilename) && { lfs: { sha256: createHash('sha256').update(bytes).digest('hex') } }),
      }));
      return void response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(JSON.stringify({ sha: COMMIT, siblings }));
    }
    const file = rest.startsWith(`resolve/${COMMIT}/`) ? rest.slice(`resolve/${COMMIT}/`.length) : '';
    if (!files.has(decodeURIComponent(file))) return void response.writeHead(404).end();
    // another host name, as the hub's CDN is: the token must not go there
    response.writeHead(302, { location: `${cdnUrl}${file}` }).end();
  });
  const url = (await listen(hub, '127.0.0.1')).replace('127.0.0.1', 'localhost').replace(/\/$/, '');
  return {
    url,
    faults,
    log,
    close: async () => {
      for (const server of [hub, cdn]) {
        server.closeAllConnections();
        await new Promise<void>((closed) => server.close(() => closed()));
      }
    },
  };
}

async function listen(server: ReturnType<typeof createServer>, host: string): Promise<string> {
  await new Promise<void>((listening) => server.listen(0, host, listening));
  return `http://${host}:${(server.address() as AddressInfo).port}/`;
}

function sendBytes(request: IncomingMessage, response: ServerResponse, bytes: Uint8Array, fault: Fault): void {
  const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
  if (fault === 'error') return void response.writeHead(500).end();
  if (fault === 'cut-error') {
    response.writeHead(503, { 'content-length': 1000 }).write('the text of this error never');
    setTimeout(() => response.destroy(), 10);
    return;
  }
  if (fault === 'hang') return;
  if (!range || fault === 'ignore-range') return void response.writeHead(200).end(bytes);
  const [first, last] = [Number(range[1]), Number(range[2])];
  const part = bytes.subarray(first, last + 1);
  response.writeHead(206, {
    'content-range': `bytes ${first}-${first + part.length - 1}/${bytes.length}`,
    'content-length': part.length,
    etag: fault === 'changed' ? '"other"' : '"same"',
  });
  if (fault === 'cut' || fault === 'short') {
    response.write(part.subarray(0, part.length >> 1));
    setTimeout(() => response.destroy(), 10);
    return;
  }
  response.end(part);
}
