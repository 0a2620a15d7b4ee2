/** Runs in the page: what the library does with names of files and with wrong options. */

import { generate, loadModel, openSource, Runtime } from '../../src/index.ts';

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
