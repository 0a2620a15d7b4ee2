import assert from 'node:assert/strict';
import { cp, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { type BrowserPage, openBrowserPage } from '../support/browser.ts';

describe('the library in headless Chromium', () => {
  let folder: string;
  let browser: BrowserPage;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rasterline-test-'));
    const bundle = await build({
      entryPoints: ['test/browser/library-page.ts'],
      bundle: true,
      format: 'esm',
      platform: 'browser',
      target: 'es2022',
      outfile: join(folder, 'dist/page.js'),
      metafile: true,
    });
    const node = Object.keys(bundle.metafile.inputs).filter((name) => /-node\.ts$/.test(name));
    assert.deepEqual(node, [], 'files of Node in the bundle');
    await cp('checkpoints/emoji', join(folder, 'checkpoints/emoji'), { recursive: true });
    browser = await openBrowserPage({ folder });
  });
  after(async () => {
    await browser?.close();
    await rm(folder, { recursive: true });
  });

  it('opens URLs relative to the page, as fetch does', async () => {
    const file = 'checkpoints/emoji/vq.safetensors';
    const sizes = await browser.page.evaluate(
      async ([address, file]) => {
        const { sizes } = (await import(address)) as typeof import('./library-page.ts');
        return await sizes(file);
      },
      [`${browser.url}dist/page.js`, file] as const,
    );
    const { size } = await stat(file);
    assert.deepEqual(sizes, [size, size, size]);
  });

  it('gives the same typed errors as in Node', async () => {
    const text = await browser.page.evaluate(async (address) => {
      const { refusal } = (await import(address)) as typeof import('./library-page.ts');
      return await refusal();
    }, `${browser.url}dist/page.js`);
    assert.match(text, /^OptionError: classes\[0\]: expected a whole number from 0 to \d+, got 100000/);
  });
});
