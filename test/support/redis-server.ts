/** A Redis of a test's own, behind a port that stays the test's when the server is out of reach. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface RedisServer {
  readonly url: string;
  /** Ends every connection, and lets no new one through. */
  cut(): void;
  mend(): void;
  close(): Promise<void>;
}

/** Throws where there is no redis-server: a test that needs one must not pass without. */
export async function startRedis(): Promise<RedisServer> {
  const folder = await mkdtemp(join(tmpdir(), 'rasterline-redis-'));
  const socket = join(folder, 'redis.sock'); // no port that another process could take
  const child = spawn('redis-server', ['--port', '0', '--unixsocket', socket, '--save', '', '--dir', folder]);
  const ended = new Promise<void>((over) => child.on('close', () => over()));
  await new Promise<void>((ready, failed) => {
    let log = '';
    child.stdout.on('data', (data) => {
      log += data;
      if (log.includes('eady to accept connections')) ready();
    });
    child.on('error', ({ message }) =>
      failed(new Error(`redis-server: expected one in the path, got ${message}; apt-get install redis-server`)),
    );
    child.on('exit', (code) => failed(new Error(`redis-server ended with ${code}: ${log}`)));
  });

  const open = new Set<Socket>();
  let isCut = false;
  const proxy = createServer((client) => {
    if (isCut) return void client.destroy();
    const server = connect(socket);
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      open.add(one);
      one.pipe(other);
      one
        .on('error', () => undefined)
        .on('close', () => {
          open.delete(one);
          other.destroy();
        });
    }
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const cut = () => {
    isCut = true;
    for (const one of open) one.destroy();
  };
  return {
    url: `redis://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    cut,
    mend: () => {
      isCut = false;
    },
    async close() {
      cut();
      proxy.close();
      child.kill('SIGKILL');
      await ended;
      await rm(folder, { recursive: true });
    },
  };
}
