import assert from 'node:assert/strict';
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { decode } from 'fast-png';
import { type BrowserPage, openBrowserPage } from '../support/browser.ts';
import { GOLDEN_PICTURE, TINY, TINY_FILES } from './studio-page.ts';
import type { WorkerResult } from './worker-page.ts';

describe('a worker of a page', () => {
  let folder: string;
  let browser: BrowserPage;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rasterline-test-'));
    await build({
      entryPoints: { page: 'test/browser/worker-page.ts', draws: 'examples/studio/draws.ts' },
      ...{ bundle: true, splitting: true, platform: 'browser', format: 'esm', target: 'es2022', outdir: folder },
      tsconfig: 'examples/studio/tsconfig.json',
    });
    for (const [name, file] of Object.entries(TINY_FILES)) await cp(file, join(folder, `${name}.safetensors`));
    browser = await openBrowserPage({ folder });
  });
  after(async () => {
    await browser?.close();
    await rm(folder, { recursive: true });
  });

  it('draws, paints a canvas of the page, previews, aborts, and gives back what it took', async () => {
    const result = await browser.page.evaluate(
      async ([address, model]): Promise<WorkerResult> => {
        const { workerRound } = (await import(address)) as typeof import('./worker-page.ts');
        return await workerRound(model, { checkpoint: 'checkpoint.safetensors', vq: 'vq.safetensors' });
      },
      [`${browser.url}page.js`, TINY] as const,
    );

    const { pixels, liveBytes, ...rest } = result;
    const expected = decode(await readFile(GOLDEN_PICTURE)).data;
    assert.equal(pixels.length, expected.length);
    assert.ok(pixels.every((value, i) => Math.abs(value - expected[i]!) <= 1));
    assert.deepEqual(rest, { isSame: true, thrown: 'enough' });
    const [before, after, left] = liveBytes;
    assert.equal(after, before);
    assert.equal(left, 0);
  });
});
