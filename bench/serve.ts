/** What the server and recovery cost against `generate`: shares of it, which hold on any device. */

import { generate } from '../src/generate.ts';
import type { ImageModel } from '../src/models/image-model.ts';
import type { LlamaGenPrompt } from '../src/models/llamagen/condition.ts';
import { loadModel } from '../src/models/load-model.ts';
import { generateAndRecover } from '../src/recover.ts';
import { type ImageServer, serve } from '../src/serve/index.ts';
import { Runtime } from '../src/tensor/runtime.ts';
import { failingDevice } from '../test/support/failing-device.ts';
import { round } from './support.ts';

const CLIENTS = 16;
/** Of each client, one after the other. */
const REQUESTS = 2;
const ROUNDS = 3;
/** Of a picture, which is soon there. */
const PICTURES = 8;
const CACHE = { budgetLines: 4 };

export async function serveRows(runtime: Runtime): Promise<object[]> {
  using model = await loadModel(runtime, 'emoji');
  const server = await serve(model, { port: 0, atOnce: CLIENTS, queueImages: 2 * CLIENTS, cache: CACHE });
  try {
    return [await throughputRow(model, server), await firstPictureRow(model, server)];
  } finally {
    await server.close();
  }
}

async function throughputRow(model: ImageModel<LlamaGenPrompt>, server: ImageServer): Promise<object> {
  const classes = Array.from({ length: CLIENTS }, (_, client) => client);
  const batch = () => generate(model, { prompt: { classes }, guidanceScale: 1, cache: CACHE });
  const client = async (id: number) => {
    for (let i = 0; i < REQUESTS; i++) await (await ask(server, { prompt: String(id), seed: i })).json();
  };
  await batch(); // compiles
  const [alone, served]: number[][] = [[], []];
  for (let i = 0; i < ROUNDS; i++) {
    alone!.push(await secondsOf(batch));
    served!.push(await secondsOf(() => Promise.all(classes.map(client))));
  }
  const [best, through] = [CLIENTS / least(alone!), (CLIENTS * REQUESTS) / least(served!)].map(round) as [
    number,
    number,
  ];
  return {
    row: `server, ${CLIENTS} clients`,
    'images/s': through,
    generate: best,
    '% of it': round((100 * through) / best),
  };
}

async function firstPictureRow(model: ImageModel<LlamaGenPrompt>, server: ImageServer): Promise<object> {
  const draw = () => generate(model, { prompt: { classes: [1] }, guidanceScale: 1, cache: CACHE });
  const first = async () => {
    const response = await ask(server, { prompt: '1', stream: true, partial_images: 16 });
    const reader = response.body!.getReader();
    await reader.read();
    await reader.cancel();
  };
  const [line, picture]: number[][] = [[], []];
  await draw();
  await first();
  for (let i = 0; i < PICTURES; i++) {
    line!.push((await secondsOf(draw)) / 16);
    picture!.push(await secondsOf(first));
  }
  const [lineMs, pictureMs] = [1000 * least(line!), 1000 * least(picture!)];
  return {
    row: 'first picture on the way',
    ms: round(pictureMs),
    'ms/line': round(lineMs),
    lines: round(pictureMs / lineMs),
  };
}

/** Lost after half of the lines, against the first half and a new start from its tokens. */
export async function recoveryRows({ device }: Runtime): Promise<object[]> {
  const options = { prompt: { classes: [1] }, guidanceScale: 1, cache: CACHE };
  const opened: Runtime[] = [];
  const load = async (on: GPUDevice) => {
    opened.push(await Runtime.open({ device: on, tuning: 'priors' }));
    return await loadModel(opened.at(-1)!, 'emoji');
  };
  const first = await load(device);
  const [whole] = await generate(first, options); // compiles
  const wholeSeconds = await secondsOf(() => generate(first, options));
  const tokens = [whole!.tokens.slice(0, 128)];
  const [fresh, recovered]: number[][] = [[], []];
  for (let i = 0; i < ROUNDS; i++) {
    fresh!.push(await secondsOf(async () => generate(await load(device), { ...options, tokens })));
    const failing = failingDevice(device);
    const lost = await load(failing.device);
    await generate(lost, options); // compiles
    const onLine = ({ line }: { readonly line: number }) => {
      if (line === 8) failing.lose();
    };
    recovered!.push(
      await secondsOf(() => generateAndRecover(lost, { ...options, onLine, reload: () => load(device) })),
    );
  }
  for (const runtime of opened) runtime.dispose();
  const [seconds, bar] = [least(recovered!), wholeSeconds / 2 + least(fresh!)];
  const share = round((100 * seconds) / bar);
  return [{ row: 'lost after half', seconds: round(seconds), 'half, load and feed': round(bar), '% of it': share }];
}

async function ask({ url }: ImageServer, body: object): Promise<Response> {
  const headers = { 'Content-Type': 'application/json' };
  const response = await fetch(`${url}/v1/images/generations`, {
    ...{ method: 'POST', headers, body: JSON.stringify({ guidance_scale: 1, ...body }) },
  });
  if (!response.ok) throw new Error(await response.text());
  return response;
}

async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

/** What slows others down is not the server's. */
function least(samples: readonly number[]): number {
  return Math.min(...samples);
}
