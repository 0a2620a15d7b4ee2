import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { APIError } from 'openai';
import type { ImageModel } from '../../src/models/image-model.ts';
import type { LlamaGenPrompt } from '../../src/models/llamagen/condition.ts';
import { imageRequestTable } from '../../src/serve/image-request.ts';
import { type ImageServer, SERVE_OPTIONS, type ServeOptions, serve } from '../../src/serve/index.ts';
import { OptionError } from '../../src/tensor/errors.ts';
import { Runtime } from '../../src/tensor/runtime.ts';
import { tinyModel } from '../support/tiny-model.ts';
import { officialClient, serveTiny } from '../support/tiny-server.ts';
import { wrongOptions } from '../support/wrong-values.ts';

/** Nothing is drawn here. */
describe('a server of bad clients', () => {
  let runtime: Runtime;
  let model: ImageModel<LlamaGenPrompt>;
  let server: ImageServer;
  const open = (options: ServeOptions = {}) => serveTiny(model, options);
  before(async () => {
    runtime = await Runtime.open({ driver: 'null' });
    model = await tinyModel(runtime);
    server = await open();
  });
  after(async () => {
    await server.close();
    model.dispose();
    runtime.dispose();
  });

  const post = (body: unknown, headers: Record<string, string> = { 'Content-Type': 'application/json' }, at = server) =>
    fetch(`${at.url}/v1/images/generations`, {
      method: 'POST',
      headers,
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });

  it('refuses what is wrong, by name and in the form of the API, and goes on', async () => {
    const json = { 'Content-Type': 'application/json' };
    const wrong: readonly (readonly [body: unknown, status: number, param: string | null, RegExp, typeof json?])[] = [
      ['{"prompt": ', 400, null, /^body: expected JSON/],
      ['[]', 400, 'body', /^body: expected an object of options/],
      [{ prompt: '3', sed: 1 }, 400, 'sed', /^body: expected no option 'sed', got one; did you mean seed\?$/],
      [{}, 400, 'prompt', /^prompt: expected/],
      [{ prompt: '3', n: 1e9 }, 400, 'n', /^n: expected a whole number from 1 to 10/],
      [{ prompt: '3', size: '9x9' }, 400, 'size', /^size: expected 16 x 16, the one size that tiny draws, got 9 x 9$/],
      [{ prompt: '3', partial_images: 9 }, 400, 'partial_images', /: expected a whole number from 0 to 8/],
      [{ prompt: 'x'.repeat(4001) }, 400, 'prompt', /^prompt: expected a text of 1 to 4000/],
      [{ prompt: '11' }, 400, 'prompt', /^prompt: expected a whole number from 0 to 9, got 11/],
      [{ prompt: 'tiger' }, 400, 'prompt', /^prompt: expected class numbers for tiny/],
      [{ prompt: '3', temperature: -1 }, 400, 'temperature', /^temperature: expected/],
      [{ prompt: '3', guidance_scale: -1 }, 400, 'guidance_scale', /^guidance_scale: expected/],
      [{ prompt: '3', model: 'dall-e-3' }, 404, 'model', /^model: expected tiny, got dall-e-3/],
      ['x'.repeat(100_000), 413, null, /^body: expected at most/],
      ['prompt=3', 415, null, /^content-type: expected application\/json/, { 'Content-Type': 'text/plain' }],
    ];
    for (const [body, status, param, text, headers = json] of wrong) {
      const response = await post(body, headers);
      const { error } = await response.json();
      assert.deepEqual(
        [response.status, error.type, error.param],
        [status, 'invalid_request_error', param],
        error.message,
      );
      assert.match(error.message, text);
    }
    assert.equal((await fetch(`${server.url}/v1/images/generations`)).status, 405);
    assert.equal((await fetch(`${server.url}/v1/chat`)).status, 404);
    assert.deepEqual(await (await fetch(`${server.url}/healthz`)).json(), { status: 'ok' });
  });

  it('has a document with every field that it takes', async () => {
    const document = await (await fetch(`${server.url}/openapi.json`)).json();
    const { schema } = document.paths['/v1/images/generations'].post.requestBody.content['application/json'];
    const table = imageRequestTable({ images: 10, promptCharacters: 4000, lines: 8 });
    assert.deepEqual(Object.keys(schema.properties).sort(), Object.keys(table.options).sort());
  });

  it('asks for its token, whole', async () => {
    const guarded = await open({ token: 'secret' });
    for (const key of ['none', 'secre', 'secret2']) {
      const listed = officialClient(guarded, key).models.list();
      await assert.rejects(listed, (error) => error instanceof APIError && error.status === 401);
    }
    assert.equal((await officialClient(guarded, 'secret').models.list()).data.length, 1);
    assert.equal((await fetch(`${guarded.url}/healthz`)).status, 200);
    await guarded.close();
    await assert.rejects(open({ token: '' }), OptionError);
    for (const { options } of wrongOptions(SERVE_OPTIONS, { port: 0 }))
      await assert.rejects(serve(model, options as object), OptionError);
  });

  it('refuses a body that is too large before it reads it', async () => {
    const sent = httpRequest(`${server.url}/v1/images/generations`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'Content-Length': 10_000_000 },
    });
    const status = await new Promise((resolve, reject) => {
      sent.on('response', ({ statusCode }) => resolve(statusCode)).on('error', reject);
      sent.flushHeaders();
    });
    assert.equal(status, 413, 'before a byte of a body that is too large was read');
    sent.destroy();
  });

  it('cuts off, in the form of the API, a client that does not send all of its header or body, and closes all the same', async () => {
    const hasty = await open({ clientTimeoutMs: 50 });
    const post = 'POST /v1/images/generations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n';
    const sent = ['POST /v1/ima', post, `${post}Content-Length: 100\r\n\r\n{"prompt"`, 'no HTTP\r\n\r\n'];
    const answers = await Promise.all(sent.map((text) => conversation(hasty, text)));
    assert.deepEqual(
      answers.map(({ status, error }) => [status, error.type]),
      [408, 408, 408, 400].map((status) => [status, 'invalid_request_error']),
    );
    const open_ = connect(Number(new URL(hasty.url).port), '127.0.0.1', () => open_.write(sent[2]!));
    const gone = new Promise((is) => open_.on('error', () => undefined).on('close', is));
    await hasty.close();
    await gone;
  });
});

/** What a server answers to a text after which nothing comes, and that it then hangs up. */
async function conversation({ url }: ImageServer, text: string) {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname, () => socket.write(text));
  let answer = '';
  for await (const chunk of socket) answer += chunk;
  const [, status] = /^HTTP\/1\.1 (\d+) /.exec(answer) ?? [];
  return { status: Number(status), ...JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4)) };
}
