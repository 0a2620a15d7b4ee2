/** Long runs with everything going wrong between: what is held at the end is what was held near the start. */

import { decode } from 'fast-png';
import { type GenerateOptions, generate } from '../src/generate.ts';
import type { LlamaGenPrompt } from '../src/models/llamagen/condition.ts';
import { serve } from '../src/serve/index.ts';
import { Runtime } from '../src/tensor/runtime.ts';
import { failingDevice } from '../test/support/failing-device.ts';
import { tinyModel } from '../test/support/tiny-model.ts';
import { round } from './support.ts';

/** RASTERLINE_SOAK scales both: 0.01 only shows that they run. */
const SCALE = Number(process.env.RASTERLINE_SOAK ?? 1);
const IMAGES = Math.ceil(1000 * SCALE);
const REQUESTS = Math.ceil(500 * SCALE);
/** Images or requests after which it is looked at what is held. */
const LOOKS = [50, 200, 500, 1000].map((count) => Math.ceil(count * SCALE));
const CLIENTS = 16;
/** Once, between an answer and the next request, the process stands still for longer than Node keeps idle connections. */
const STILL_MS = 7000;

/** Every fourth image ends otherwise: by an abort, an exception in `onLine`, or memory that is refused. */
const ENDS = ['abort', 'exception', 'memory'] as const;

/** Images of the tiny model of the tests (8 x 8 tokens, random weights). */
export async function soakRows(runtime: Runtime): Promise<object[]> {
  const failing = failingDevice(runtime.device);
  using own = await Runtime.open({ device: failing.device, tuning: 'priors' });
  using model = await tinyModel(own);
  const start = performance.now();
  const ended: Record<string, number> = {};
  const looks = new Looks(model.runtime);
  for (let image = 0; image < IMAGES; image++) {
    const how = image % 4 === 3 ? ENDS[Math.floor(image / 4) % ENDS.length]! : 'drawn';
    const controller = new AbortController();
    const options: GenerateOptions<LlamaGenPrompt> = {
      prompt: { classes: [image % 10] },
      ...{ seed: image, cache: { budgetLines: 3 + (image % 5) }, signal: controller.signal },
      onLine: ({ line }) => {
        if (line !== 1 + (image % 6)) return;
        if (how === 'abort') controller.abort(new Error('abort'));
        if (how === 'exception') throw new Error('exception');
      },
    };
    if (how === 'memory') failing.failNext(image % 9, 'out-of-memory');
    const end = await generate(model, options).then(
      () => 'drawn',
      (error: Error) => (['abort', 'exception'].includes(error.message) ? error.message : 'memory'),
    );
    failing.heal();
    if (end !== how) throw new Error(`soak: expected image ${image} to end by ${how}, got ${end}`);
    ended[end] = (ended[end] ?? 0) + 1;
    await looks.after(image + 1);
  }
  return [{ soak: 'generate', ...ended, ...looks.growth, seconds: secondsSince(start) }];
}

/** The same from a server: every request is answered with its own picture, or has been cut off by its client. */
export async function soakServerRows(runtime: Runtime): Promise<object[]> {
  using model = await tinyModel(runtime);
  const expected = await Promise.all(
    Array.from({ length: 10 }, async (_, id) => {
      const [image] = await generate(model, { prompt: { classes: [id] }, guidanceScale: 1, seed: id });
      return Buffer.from(image!.pixels);
    }),
  );
  const start = performance.now();
  const server = await serve(model, { port: 0, drawsClasses: true, queueImages: CLIENTS, atOnce: 8 });
  const counts = { right: 0, cutOff: 0, wrong: 0, lost: 0 };
  let next = 0;
  const looks = new Looks(model.runtime);
  const ask = async (request: number): Promise<keyof typeof counts> => {
    const id = request % expected.length;
    const isCut = request % 7 === 3;
    const controller = new AbortController();
    const body = JSON.stringify({ prompt: String(id), seed: id, guidance_scale: 1, stream: isCut, partial_images: 4 });
    if (request === REQUESTS >> 1) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, STILL_MS);
    const response = await fetch(`${server.url}/v1/images/generations`, {
      ...{ method: 'POST', headers: { 'Content-Type': 'application/json' }, body, signal: controller.signal },
    });
    if (isCut) {
      await response.body!.getReader().read(); // a picture on the way
      controller.abort();
      return 'cutOff';
    }
    const { data, error } = (await response.json()) as {
      readonly data?: readonly { readonly b64_json: string }[];
      readonly error?: { readonly message: string };
    };
    if (!data) throw new Error(error?.message);
    return expected[id]!.equals(decode(Buffer.from(data[0]!.b64_json, 'base64')).data as Uint8Array)
      ? 'right'
      : 'wrong';
  };
  const whyLost = new Set<string>();
  const isLost = ({ message, cause }: Error): 'lost' => {
    whyLost.add(`${message} ${(cause as Error | undefined)?.message ?? ''}`);
    return 'lost';
  };
  const client = async (last: number) => {
    while (next < last) counts[await ask(next++).catch(isLost)]++;
  };
  for (const last of LOOKS.filter((count) => count <= REQUESTS)) {
    await Promise.all(Array.from({ length: CLIENTS }, () => client(last)));
    await looks.after(last); // nothing is drawn meanwhile
  }
  await server.close();
  const why = counts.lost > 0 && { why: [...whyLost].join() };
  return [{ soak: 'serve', ...counts, ...looks.growth, seconds: secondsSince(start), ...why }];
}

/** What is held as a soak goes on: what levels off is warm, what does not is lost. */
class Looks {
  readonly #gpuBytes: number[] = [];
  readonly #rssMb: number[] = [];
  readonly #heapMb: number[] = [];

  constructor(private readonly runtime: Runtime) {}

  /** Looks, if it is time to, after the garbage is gone as far as Node can be asked to (`--expose-gc`). */
  async after(count: number): Promise<void> {
    if (!LOOKS.includes(count)) return;
    for (let i = 0; i < 4; i++) {
      globalThis.gc?.();
      await new Promise((turn) => setImmediate(turn)); // what Dawn holds for an object goes a turn after it
    }
    const { rss, heapUsed } = process.memoryUsage();
    this.#gpuBytes.push(this.runtime.liveBytes);
    this.#rssMb.push(rss / 1e6);
    this.#heapMb.push(heapUsed / 1e6);
  }

  /** Over what there was at the first look. */
  get growth(): object {
    const percent = (values: readonly number[]) => round((100 * (values.at(-1)! - values[0]!)) / values[0]!); // one look at least
    const all = (values: readonly number[]) => values.map((value) => value.toFixed(1)).join(' ');
    return {
      after: LOOKS.slice(0, this.#rssMb.length).join(' '),
      'GPU growth %': percent(this.#gpuBytes),
      'RSS MB': all(this.#rssMb),
      'RSS growth %': percent(this.#rssMb),
      'heap MB': all(this.#heapMb),
    };
  }
}

function secondsSince(start: number): number {
  return round((performance.now() - start) / 1000);
}
