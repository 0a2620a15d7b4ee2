import assert from 'node:assert/strict';
import { decode } from 'fast-png';
import { APIError, RateLimitError } from 'openai';
import { generate } from '../../src/generate.ts';
import type { ImageModel } from '../../src/models/image-model.ts';
import type { LlamaGenPrompt } from '../../src/models/llamagen/condition.ts';
import { readRecipe } from '../../src/png.ts';
import { type ImageServer, type ServeOptions, serve } from '../../src/serve/index.ts';
import { Runtime } from '../../src/tensor/runtime.ts';
import { failingDevice } from '../support/failing-device.ts';
import { testRuntime } from '../support/runtime.ts';
import { tinyModel } from '../support/tiny-model.ts';
import { officialClient, serveTiny } from '../support/tiny-server.ts';

/** No test waits for so long. */
const LONG_MS = 60_000;
const FAST = { guidance_scale: 1, model: 'tiny' } as const;

describe('a server', () => {
  let model: ImageModel<LlamaGenPrompt>;
  let server: ImageServer;
  const open = (options: ServeOptions = {}) => serveTiny(model, options);
  before(async () => {
    model = await tinyModel(await testRuntime());
    server = await open();
    assert.match(server.url, /^http:\/\/127\.0\.0\.1:/, 'this machine alone');
  });
  after(async () => {
    await server.close();
    model.dispose();
  });

  const client = (at = server) => officialClient(at);
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
    const own = await open({ atOnce: 4, gatherMs: LONG_MS });

    const [two, one, url] = await Promise.all([
      client(own).images.generate({ ...FAST, prompt: '3', n: 2, ...{ seed: 7 } }),
      client(own).images.generate({ ...FAST, prompt: '5', size: 'auto', ...{ seed: 9 } }),
      client(own).images.generate({ ...FAST, prompt: '1', response_format: 'url' }),
    ]);

    assert.deepEqual(
      two.data?.map(({ b64_json }) => pixels(b64_json)),
      [await alone(3, 7), await alone(3, 7, 1)],
    );
    assert.deepEqual(pixels(one.data?.[0]?.b64_json), await alone(5, 9));
    const byUrl = Buffer.from(await (await fetch(url.data![0]!.url!)).arrayBuffer());
    const { sampling } = readRecipe(byUrl);
    assert.deepEqual([...decode(byUrl).data], await alone(1, sampling.seed), 'the seed by chance is told');
    const counted = ['runs_total{outcome="done"}', 'images_total', 'queue_images', 'run_images_count'];
    assert.deepEqual(await Promise.all(counted.map((name) => metric(name, own))), [1, 4, 0, 1]);
    for (const name of ['tokens_per_second', 'kv_bytes', 'live_bytes']) assert.ok((await metric(name, own)) > 0, name);
    assert.equal(await metric('request_seconds_count{route="POST /v1/images/generations",status="200"}', own), 3);
    assert.deepEqual(
      (await client(own).models.list()).data.map(({ id }) => id),
      ['tiny'],
    );
    await own.close();
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
    const first = async (at: ImageServer) => {
      const controller = new AbortController();
      const stream = await client(at).images.generate(
        { ...FAST, prompt: '3', stream: true, partial_images: 8 },
        { signal: controller.signal },
      );
      for await (const _ of stream) {
        controller.abort();
        break;
      }
    };
    const runs = async (at: ImageServer) => [
      await metric('runs_total{outcome="aborted"}', at),
      await metric('runs_total{outcome="done"}', at),
    ];
    const own = await open();
    await first(own);
    while ((await metric('run_images_count', own)) === 0) await new Promise((wake) => setTimeout(wake, 10));
    assert.deepEqual(await runs(own), [1, 0]);
    await own.close();

    const shared = await open({ atOnce: 2, gatherMs: LONG_MS });
    const [, drawn] = await Promise.all([
      first(shared),
      client(shared).images.generate({ ...FAST, prompt: '5', ...{ seed: 9 } }),
    ]);
    assert.deepEqual(pixels(drawn.data?.[0]?.b64_json), await alone(5, 9));
    assert.deepEqual(await runs(shared), [0, 1]);
    await shared.close();

    const hasty = await open({ requestTimeoutMs: 1 });
    const late = client(hasty).images.generate({ ...FAST, prompt: '3' });
    await assert.rejects(late, (error) => error instanceof APIError && error.status === 504);
    await hasty.close();
  });

  it('ends what it has before it closes, and takes no more', async () => {
    const own = await open({ gatherMs: LONG_MS }); // the image waits for company
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
});
