/** Hostile and failing servers, on loopback alone. */

import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { openFiles } from '../../src/tensor/checkpoint/open-files.ts';
import { safetensors } from '../support/safetensors-file.ts';
import type { Attack, Chance } from './attack.ts';

const COMMIT = '0'.repeat(40);
const FILE = safetensors({ a: Float32Array.from({ length: 2000 }, (_, i) => i) });
const LISTING = JSON.stringify({ sha: COMMIT, siblings: [{ rfilename: 'model.safetensors', size: FILE.length }] });
const BOMB = gzipSync(Buffer.alloc(2 ** 26, 32));

type Answer = (response: ServerResponse, chance: Chance, sound: () => void) => void;

const ANSWERS: Readonly<Record<string, Answer>> = {
  sound: (_, __, sound) => sound(),
  endless: (response) => {
    const chunk = Buffer.alloc(2 ** 16, 32);
    const go = () => {
      while (!response.destroyed && response.write(chunk));
      if (!response.destroyed) response.once('drain', go);
    };
    response.writeHead(200);
    go();
  },
  bomb: (response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(BOMB),
  'not gzip': (response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end('not gzip'),
  trickle: (response) => {
    response.writeHead(200);
    const timer = setInterval(() => response.write(' '), 20);
    response.once('close', () => clearInterval(timer));
  },
  silent: () => undefined,
  'head alone': (response) => void response.writeHead(206, { 'content-range': 'bytes 0-0/9' }).flushHeaders(),
  cut: (response) => {
    response.writeHead(200, { 'content-length': 1000 });
    response.write('{');
    setTimeout(() => response.destroy(), 5);
  },
  reset: (response) => response.socket?.resetAndDestroy(),
  garbage: (response) => void response.socket?.end('\0\x01\x02 not http\r\n\r\n'),
  circle: (response) => response.writeHead(302, { location: '/circle' }).end(),
  elsewhere: (response, { pick }) =>
    response
      .writeHead(302, { location: pick(['file:///etc/passwd', 'http://[', 'data:,x', '//0.0.0.0:1/', 'javascript:1']) })
      .end(),
  status: (response, { pick }) =>
    response
      .writeHead(pick([204, 304, 400, 401, 403, 404, 416, 418, 429, 500, 501, 503]), {
        'retry-after': pick(['0', '9999', 'x', '-1', 'Wed, 21 Oct 2099 07:28:00 GMT']),
      })
      .end('no'),
  'wrong range': (response, { pick }) =>
    response
      .writeHead(206, {
        'content-range': pick(['bytes 5-9/10', 'bytes 0-0/*', 'bytes 0-0/999999999999999', 'x', 'bytes 9-0/3']),
      })
      .end('x'),
  'other JSON': (response, { pick }) =>
    response.end(
      pick([
        'null',
        '[]',
        '{}',
        `{"sha":"${COMMIT}","siblings":[null]}`,
        `{"sha":1}`,
        '['.repeat(1e5),
        `{"sha":"${COMMIT}","siblings":[${'{},'.repeat(1e5)}{}]}`,
      ]),
    ),
  'long headers': (response) =>
    response.writeHead(200, { 'x-long': 'x'.repeat(14_000), etag: 'y'.repeat(1000) }).end(LISTING),
};

export async function serversAttack(): Promise<Attack> {
  let current: Answer = ANSWERS.sound!;
  let chanceNow: Chance;
  let untilHostile = 0;
  const server = createServer((request, response) => {
    response.on('error', () => undefined);
    const sound = () => {
      if (!request.url?.includes('/resolve/')) return void response.end(LISTING);
      const [first, last] = (request.headers.range?.match(/\d+/g) ?? ['0', '0']).map(Number) as [number, number];
      response
        .writeHead(206, { 'content-range': `bytes ${first}-${last}/${FILE.length}` })
        .end(FILE.subarray(first, last + 1));
    };
    if (untilHostile-- > 0) sound();
    else current(response, chanceNow, sound);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    name: 'servers',
    async run(chance) {
      const name = chance.pick(Object.keys(ANSWERS));
      current = ANSWERS[name]!;
      chanceNow = chance;
      untilHostile = chance.below(4);
      const options = {
        endpoint,
        cache: false,
        timeoutMs: 150,
        retries: chance.below(2),
        retryDelayMs: 1,
        token: 'hf_secret',
      };
      const source = chance.pick([`hf:a/b`, `${endpoint}/resolve/x`, `hf:a/b@refs/pr/1/model.safetensors`]);
      return {
        what: `${name} after ${untilHostile} answers, ${source.slice(0, 5)}`,
        async end() {
          try {
            const { checkpoint } = await openFiles(source, source.startsWith('hf:') ? options : { ...options });
            for (const tensor of checkpoint.tensors.values()) await tensor.read();
            await checkpoint.close();
          } catch (error) {
            if (String(error).includes('hf_secret')) throw new Error('the token is shown');
            throw error;
          }
        },
      };
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
