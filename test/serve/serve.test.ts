import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { decode } from 'fast-png';
import OpenAI, { APIError, RateLimitError } from 'openai';
import { generate } from '../../src/generate.ts';
import type { ImageModel } from '../../src/models/image-model.ts';
import type { LlamaGenPrompt } from '../../src/models/llamagen/condition.ts';
import { readRecipe } from '../../src/png.ts';
import { imageRequestTable } from '../../src/serve/image-request.ts';
import { type ImageServer, SERVE_OPTIONS, type ServeOptions, serve } from '../../src/serve/index.ts';
import { OptionError } from '../../src/tensor/errors.ts';
import { Runtime } from '../../src/tensor/runtime.ts';
import { failingDevice } from '../support/failing-device.ts';
import { testRuntime } from '../support/runtime.ts';
import { tinyModel } from '../support/tiny-model.ts';
import { wrongOptions } from '../support/wrong-values.ts';

const FAST = { guidance_scale: 1, model: 'tiny' } as const;

describe('a server', () => {
  let model: ImageModel<LlamaGenPrompt>;
  let server: ImageServer;
  const open = (options: ServeOptions = {}, served = model) =>
    serve(served, { port: 0, drawsClasses: true, gatherMs: 200, ...options });
  before(async () => {
    model = await tinyModel(await testRuntime());
    server = await open();
    assert.match(server.url, /^http:\/\/127\.0\.0\.1:/, 'this machine alone');
  });
  after(async () => {
    await server.close();
    model.dispose();
  });

  const client = ({ url } = server, apiKey = 'none') => new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 });
  const post = (body: unknown, headers: Record<string, string> = { 'Content-Type': 'application/json' }, at = server) =>
    fetch(`${at.url}/v1/images/generations`, {
      method: 'POST',
      headers,
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
  const pixels = (base64 = '') => [...decode(Buffer.from(base64, 'base64')).data];
  const metric = async (name: string, at = server) => {
    const text = await (await fetch(`${at.url}/metrics`)).text();
    return Number(new RegExp(`^rasterline_${name.replace(/[{}"]/g, '\\$&')} (\\S+)$`, 'm').exec(text)?.[1] ?? 0);
  };
  /** What `generate` draws of that class, alone. */
  const alone = (id: number, seed: number, firstImage = 0) => {
    const options = { prompt: { classes: [id] }, guidanceScale: 1, seed, firstImage };
    const key = JSON.stringify(options);
    const drawn = known.get(key) ?? generate(model, options).then(([image]) => [...image!.pixels]);
    known.set(key, drawn);
    return drawn;
  };
  const known = new Map<string, Promise<number[]>>();

  it('draws for the official client what generate draws, requests that come together in one run', async () => {
    const before = [await metric('runs_total{outcome="done"}'), await metric('images_total')];

    const [two, one, url] = await Promise.all([
      client().images.generate({ ...FAST, prompt: '3', n: 2, ...{ seed: 7 } }),
      client().images.generate({ ...FAST, prompt: '5', size: 'auto', ...{ seed: 9 } }),
      client().images.generate({ ...FAST, prompt: '1', response_format: 'url' }),
    ]);

    assert.deepEqual(
      two.data?.map(({ b64_json }) => pixels(b64_json)),
      [await alone(3, 7), await alone(3, 7, 1)],
    );
    assert.deepEqual(pixels(one.data?.[0]?.b64_json), await alone(5, 9));
    const byUrl = Buffer.from(await (await fetch(url.data![0]!.url!)).arrayBuffer());
    const { sampling } = readRecipe(byUrl);
    assert.deepEqual([...decode(byUrl).data], await alone(1, sampling.seed), 'the seed by chance is told');
    const after = [await metric('runs_total{outcome="done"}'), await metric('images_total')];
    assert.deepEqual(
      after.map((count, i) => count - before[i]!),
      [1, 4],
    );
    for (const name of ['tokens_per_second', 'kv_bytes', 'run_images_count', 'live_bytes'])
      assert.ok((await metric(name)) > 0, name);
    assert.equal(await metric('queue_images'), 0);
    assert.equal(await metric(`request_seconds_count{route="POST /v1/images/generations",status="200"}`), 3);
    assert.deepEqual(
      (await client().models.list()).data.map(({ id }) => id),
      ['tiny'],
    );
  });

  it('streams pictures on the way, then the image', async () => {
    const stream = await client().images.generate({
      ...{ ...FAST, prompt: '3', stream: true, partial_images: 3 },
      ...{ seed: 7 },
    });
    const types: string[] = [];
    let last = '';
    for await (const event of stream) {
      types.push(event.type);
      last = event.b64_json;
      if (event.type === 'image_generation.partial_image') assert.equal(event.partial_image_index, types.length - 1);
    }
    const partial = 'image_generation.partial_image';
    assert.deepEqual(types, [partial, partial, partial, 'image_generation.completed']);
    assert.deepEqual(pixels(last), await alone(3, 7));
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
      const listed = client(guarded, key).models.list();
      await assert.rejects(listed, (error) => error instanceof APIError && error.status === 401);
    }
    assert.equal((await client(guarded, 'secret').models.list()).data.length, 1);
    assert.equal((await fetch(`${guarded.url}/healthz`)).status, 200);
    await guarded.close();
    await assert.rejects(open({ token: '' }), OptionError);
    for (const { options } of wrongOptions(SERVE_OPTIONS, { port: 0 }))
      await assert.rejects(serve(model, options as object), OptionError);
  });

  it('refuses with 429 and Retry-After what its queue has no room for, and draws the rest', async () => {
    const small = await open({ queueImages: 2, atOnce: 1 });
    const drawing = client(small).images.generate({ ...FAST, prompt: '1', n: 2 });
    const refused = client(small).images.generate({ ...FAST, prompt: '2', n: 3 }); // wherever the other is by then
    await assert.rejects(
      refused,
      (error) => error instanceof RateLimitError && Number(error.headers.get('retry-after')) >= 1,
    );
    assert.equal((await drawing).data?.length, 2);
    await small.close();
  });

  it('aborts a run when all its clients have gone, keeps one that a client waits for, and times out', async () => {
    const own = await open({ gatherMs: 0 });
    const [stay, leave] = [new AbortController(), new AbortController()];
    const runs = (outcome: string) => metric(`runs_total{outcome="${outcome}"}`, own);
    const first = async (controller: AbortController) => {
      const stream = await client(own).images.generate(
        { ...FAST, prompt: '3', stream: true, partial_images: 8 },
        { signal: controller.signal },
      );
      for await (const _ of stream) {
        controller.abort();
        break;
      }
    };
    await first(leave);
    while ((await runs('aborted')) === 0) await new Promise((wake) => setTimeout(wake, 10));
    assert.deepEqual([await runs('aborted'), await runs('done')], [1, 0]);
    const [, drawn] = await Promise.all([
      first(stay),
      client(own).images.generate({ ...FAST, prompt: '5', ...{ seed: 9 } }),
    ]);
    assert.deepEqual(pixels(drawn.data?.[0]?.b64_json), await alone(5, 9));
    await own.close();

    const hasty = await open({ requestTimeoutMs: 1 });
    const late = client(hasty).images.generate({ ...FAST, prompt: '3' });
    await assert.rejects(late, (error) => error instanceof APIError && error.status === 504);
    await hasty.close();
  });

  it('ends what it has before it closes, and takes no more', async () => {
    const own = await open({ gatherMs: 1000 }); // the image is seen waiting
    const drawing = client(own).images.generate({ ...FAST, prompt: '3', ...{ seed: 7 } });
    while ((await metric('queue_images', own)) === 0) await new Promise((wake) => setTimeout(wake, 5));
    const closed = own.close();
    await assert.rejects(fetch(`${own.url}/healthz`).then(({ ok }) => assert.ok(ok)));
    assert.deepEqual(pixels((await drawing).data?.[0]?.b64_json), await alone(3, 7));
    await closed;
  });

  it('goes on with another device when one is lost in the middle, and clients do not notice', async () => {
    const opened: ReturnType<typeof failingDevice>[] = [];
    const models: ImageModel<LlamaGenPrompt>[] = [];
    const load = async () => {
      opened.push(failingDevice((await testRuntime()).device));
      models.push(await tinyModel(await Runtime.open({ device: opened.at(-1)!.device })));
      return models.at(-1)! as unknown as ImageModel<object>;
    };
    const own = await serve(await load(), { port: 0, drawsClasses: true, reload: load });
    const stream = await client(own).images.generate({
      ...{ ...FAST, prompt: '3', stream: true, partial_images: 8 },
      ...{ seed: 7 },
    });
    let last = '';
    for await (const { b64_json } of stream) {
      if (last === '') opened[0]!.lose();
      last = b64_json;
    }
    assert.deepEqual(pixels(last), await alone(3, 7));
    assert.equal(opened.length, 2);
    await own.close();
    for (const one of models) one.dispose();
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
