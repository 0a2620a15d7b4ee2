import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { closable, cutOffUnread, keepConnections, keepsUp, sendEvent } from '../../src/serve/http.ts';

const EVENT = { type: 'picture', b64_json: 'x'.repeat(2 ** 20) };
const MOST_BYTES = 17 * 2 ** 20 + 100; // what is let through, and an event

async function listening(server: Server): Promise<number> {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return (server.address() as AddressInfo).port;
}

describe('a client that does not read', () => {
  /** The server's side of a stream to a client that reads nothing; called once the stream is open. */
  const unread = async (use: (response: ServerResponse, client: Socket) => Promise<void>) => {
    const server = createServer();
    const client = connect(await listening(server), '127.0.0.1');
    client.on('error', () => undefined).pause();
    client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    const [, response] = (await once(server, 'request')) as [unknown, ServerResponse];
    await use(response, client);
    client.destroy();
    server.close();
  };

  it('gets no more pictures on the way, and holds a bounded memory', () =>
    unread(async (response) => {
      let sent = 0;
      for (; keepsUp(response); sent++) sendEvent(response, EVENT);
      assert.ok(sent >= 16, `${sent} events`);
      assert.ok(response.writableLength < MOST_BYTES, `${response.writableLength} bytes`);
    }));

  it('is cut off when the answer is complete, and one that has read all is not', () =>
    unread(async (response, client) => {
      while (keepsUp(response)) sendEvent(response, EVENT);
      response.end();

      cutOffUnread(response, 20);

      await once(response, 'close');
      const ended = new Promise((is) => client.on('close', is));
      client.resume();
      await ended;
      assert.ok(client.bytesRead < 16 * EVENT.b64_json.length, `${client.bytesRead} bytes were read`);
      const isSet = { writableEnded: true, writableFinished: true, setTimeout: () => assert.fail('cut off') };
      cutOffUnread(isSet as never, 20);
    }));
});

describe('a connection', () => {
  it('that is idle stays far longer than its client is told, so that a request is not on its way when it closes', async () => {
    const server = createServer((_, response) => response.end('x'));
    keepConnections(server);
    const port = await listening(server);
    const connected = once(server, 'connection') as Promise<Socket[]>;

    const answer = await fetch(`http://127.0.0.1:${port}`);
    await answer.text();

    const told = Number(/^timeout=(\d+)$/.exec(answer.headers.get('keep-alive') ?? '')?.[1]);
    const [socket] = await connected;
    assert.ok(socket!.timeout! > 10_000 * told, `${socket!.timeout} ms, where ${told} s are told`);
    server.close();
  });

  it('brings all of an answer that is on its way when the server closes, and is cut off where its client is too slow', async () => {
    for (const isRead of [true, false]) {
      const server = createServer((_, response) => response.end(EVENT.b64_json.repeat(16)));
      const close = closable(server);
      const client = connect(await listening(server), '127.0.0.1');
      client.on('error', () => undefined).pause();
      client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
      await once(server, 'request');

      const closed = close(isRead ? 60_000 : 20);
      if (isRead) client.resume();
      await closed;

      if (!isRead) client.resume();
      await once(client, 'close');
      assert.equal(client.bytesRead > 16 * EVENT.b64_json.length, isRead, `${client.bytesRead} bytes were read`);
    }
  });
});
