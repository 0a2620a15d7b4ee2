import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { type BrowserPage, openBrowserPage } from '../support/browser.ts';
import type { ComputeResult } from './compute-page.ts';

describe('the platform layer in headless Chromium', () => {
  let folder: string;
  let browser: BrowserPage;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rasterline-test-'));
    await build({
      entryPoints: ['test/browser/compute-page.ts'],
      bundle: true,
      format: 'esm',
      target: 'es2022',
      outfile: join(folder, 'page.js'),
    });
    browser = await openBrowserPage({ folder });
  });
  after(async () => {
    await browser?.close();
    await rm(folder, { recursive: true });
  });

  it('the adapter that the browser offers runs a compute shader', async () => {
    const result = await browser.page.evaluate(async (address): Promise<ComputeResult> => {
      const { compute } = (await import(address)) as typeof import('./compute-page.ts');
      return await compute([1, -2.5, 3e10]);
    }, `${browser.url}page.js`);

    assert.match(result.description, /^browser: google, swiftshader/);
    assert.deepEqual(result.numbers, [2, -5, 2 * Math.fround(3e10)]);
  });

  it('a path is refused, since a page cannot open it', async () => {
    const refusal = browser.page.evaluate(async (address) => {
      const { fileSource } = (await import(address)) as typeof import('#source');
      await fileSource('model.safetensors');
    }, `${browser.url}page.js`);

    await assert.rejects(refusal, /OptionError: source: expected a URL or a Blob/);
  });
});
