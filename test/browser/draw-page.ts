/** Runs in the page: draws an emoji with the library and shows it on a canvas through WebGPU. */

import { generate, loadModel, openSource, Runtime } from '../../src/index.ts';

export interface DrawResult {
  readonly description: string;
  readonly tokens: readonly number[];
  /** RGB of the image, and of the canvas as the page shows it. */
  readonly pixels: readonly number[];
  readonly shown: readonly number[];
  readonly lines: number;
}

export async function draw(classId: number, seed: number): Promise<DrawResult> {
  using runtime = await Runtime.open();
  using model = await loadModel(runtime, 'emoji');
  let lines = 0;
  const options = { prompt: { classes: [classId] }, seed, cache: { budgetLines: 4 }, onLine: () => void lines++ };
  const [image] = await generate(model, options);
  if (!image) throw new Error('expected an image');
  const canvas = new OffscreenCanvas(image.width, image.height);
  const context = canvas.getContext('webgpu')!;
  const usage = GPUTextureUsage.COPY_DST | GPUTextureUsage.RENDER_ATTACHMENT;
  context.configure({ device: runtime.device, format: 'rgba8unorm', usage, alphaMode: 'opaque' });
  const rgba = Uint8Array.from({ length: image.width * image.height * 4 }, (_, i) =>
    i % 4 === 3 ? 255 : image.pixels[3 * (i >> 2) + (i % 4)]!,
  );
  runtime.device.queue.writeTexture({ texture: context.getCurrentTexture() }, rgba, { bytesPerRow: 4 * image.width }, [
    image.width,
    image.height,
  ]);
  const copy = new OffscreenCanvas(image.width, image.height).getContext('2d')!;
  copy.drawImage(canvas, 0, 0);
  const shown = copy.getImageData(0, 0, image.width, image.height).data.filter((_, i) => i % 4 !== 3);
  await runtime.settled();
  return {
    description: runtime.description,
    tokens: [...image.tokens],
    pixels: [...image.pixels],
    shown: [...shown],
    lines,
  };
}

/** How many bytes a checkpoint has whose URL is relative to the page, to its root, and absolute. */
export async function sizes(file: string): Promise<number[]> {
  const names = [file, `/${file}`, new URL(file, location.href).href];
  const sources = await Promise.all(names.map((name) => openSource(name)));
  return sources.map(({ size }) => size);
}

/** The name of the error for a class out of range. */
export async function refusal(): Promise<string> {
  using runtime = await Runtime.open();
  using model = await loadModel(runtime, 'emoji');
  try {
    await generate(model, { prompt: { classes: [100000] } });
    return 'none';
  } catch (error) {
    return `${(error as Error).name}: ${(error as Error).message}`;
  }
}
