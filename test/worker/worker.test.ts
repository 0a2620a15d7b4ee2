import assert from 'node:assert/strict';
import { SHARE_ENV, Worker } from 'node:worker_threads';
import { build } from 'esbuild';
import { GeneratedImage } from '../../src/generated-image.ts';
import { DisposedError, FormatError, NotFoundError, OptionError, OutOfMemoryError } from '../../src/tensor/errors.ts';
import { bytesSource } from '../../src/tensor/source/bytes.ts';
import { VERSION } from '../../src/version.ts';
import { receivedError, sentError } from '../../src/worker/protocol.ts';
import { connectWorker, serveWorker, type WorkerModel, type WorkerRuntime } from '../../src/worker.ts';
import { openGolden } from '../support/golden.ts';
import { goldenConfig } from '../support/trace.ts';

const MODEL = { family: 'llamagen', config: goldenConfig('llamagen-c2i') } as const;
const FILES = {
  checkpoint: 'test/golden/llamagen-c2i/model.safetensors',
  vq: 'test/golden/llamagen-vq/model.safetensors',
  dtype: 'f32',
} as const;
const PROMPT = { classes: [3] };

describe('a runtime in a worker', () => {
  let worker: Worker;
  let runtime: WorkerRuntime;
  let model: WorkerModel<{ readonly classes: readonly number[] }>;
  before(async () => {
    await build({
      ...{ entryPoints: ['test/worker/thread.ts'], outfile: '.build/test/worker/thread.mjs' },
      ...{ bundle: true, platform: 'node', target: 'node20', format: 'esm', packages: 'external' },
    });
    worker = new Worker('./.build/test/worker/thread.mjs', { env: SHARE_ENV });
    runtime = await connectWorker(worker, { driver: process.env.RASTERLINE_DRIVER ? 'auto' : 'swiftshader' });
    model = (await runtime.loadModel(MODEL, FILES)) as typeof model;
  });
  after(async () => await runtime.close());

  it('draws the tokens of the reference, with every event, preview and what is remembered', async () => {
    const golden = await openGolden('llamagen-c2i');
    const classes = Array.from(await golden.values('class_ids'));
    const expected = Array.from(await golden.values('greedy_tokens_cfg1'));
    await golden.close();
    const seen: string[] = [];
    let last: GeneratedImage[] = [];
    let images: readonly GeneratedImage[] = [];
    for await (const event of model.draw({ prompt: { classes }, guidanceScale: 1, temperature: 0 })) {
      if (event.kind === 'images') {
        images = event.images;
        continue;
      }
      const { fates, tokens } = await event.retained();
      const [drawn] = await event.tokens();
      seen.push(`${event.line} ${drawn!.length} ${fates.length % tokens}`);
      if (event.line === event.lines) last = await event.preview();
    }
    assert.deepEqual(
      seen,
      Array.from({ length: 8 }, (_, line) => `${line + 1} ${8 * (line + 1)} 0`),
    );
    assert.deepEqual(
      images.flatMap(({ tokens }) => [...tokens]),
      expected,
    );
    assert.deepEqual(last, images);
    assert.ok(images[0] instanceof GeneratedImage);
  });

  it('writes the recipe of a picture with the defaults of its model, as in the page', async () => {
    const recipe = await model.recipe({ prompt: PROMPT, images: 2, seed: 7, onLine: () => undefined }, 1, {
      dtype: 'f32',
    });
    assert.deepEqual(recipe, {
      ...{
        version: VERSION,
        model: structuredClone(MODEL),
        prompt: PROMPT,
        cache: { policy: 'full' },
        loaded: { dtype: 'f32' },
      },
      sampling: { ...model.defaults, cfgInterval: -1, seed: 7, firstImage: 1 },
    });
  });

  it('frees everything when the loop is left or the signal aborts, and throws its reason', async () => {
    const before = (await runtime.status()).liveBytes;
    for await (const event of model.draw({ prompt: PROMPT })) if (event.kind === 'line' && event.line === 2) break;
    const stop = new AbortController();
    const reason = new Error('enough');
    const run = model.generate({ prompt: PROMPT, signal: stop.signal, onLine: () => stop.abort(reason) });
    await assert.rejects(run, (error) => error === reason);
    assert.equal((await runtime.status()).liveBytes, before);
  });

  it('throws the errors of their classes, and refuses what cannot cross before it is sent', async () => {
    await assert.rejects(model.generate({ prompt: { classes: [-1] } }), OptionError);
    await assert.rejects(model.generate({ prompt: PROMPT, cache: { policy: () => 1 } as never }), OptionError);
    const noMemory = sentError(new OutOfMemoryError('too large', 5));
    assert.deepEqual(receivedError(structuredClone(noMemory)), new OutOfMemoryError('too large', 5));
    const source = bytesSource('weights', new Uint8Array(8));
    await assert.rejects(runtime.loadModel(MODEL, { ...FILES, checkpoint: source }), OptionError);
    await assert.rejects(runtime.loadModel(MODEL, { ...FILES, vq: 'no-such-file' }), FormatError);
    await assert.rejects(runtime.loadModel(MODEL, { ...FILES, vq: 'no-such-file' }), NotFoundError);
    assert.throws(() => serveWorker(), OptionError);
    await assert.rejects(connectWorker({} as never), OptionError);
  });

  it('comes to rest before its thread ends, in the middle of a run too, and then says that it is closed', async () => {
    const own = await connectWorker(new Worker('./.build/test/worker/thread.mjs', { env: SHARE_ENV }), {
      driver: 'null',
    });
    const drawing = await own.loadModel(MODEL, FILES);
    let lines = 0;
    const run = drawing.generate({ prompt: PROMPT, onLine: () => void (lines++ === 0 && void own.close()) });
    await assert.rejects(run);
    await own.close();
    await assert.rejects(own.status(), DisposedError);
  });

  it('says so when its thread ends by itself', async () => {
    const own = new Worker('process.exit(1)', { eval: true });
    await assert.rejects(connectWorker(own), /DeviceError: worker: expected it to answer, got its end/);
  });
});
