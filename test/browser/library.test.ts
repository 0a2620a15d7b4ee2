import assert from 'node:assert/strict';
import { cp, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';
import { callIn, suitePage } from '../support/browser.ts';
import type { refusal, sizes } from './library-page.ts';

const PAGE = { entryPoints: { page: 'test/browser/library-page.ts' } };

describe('the library in headless Chromium', () => {
  const browser = suitePage(PAGE, (folder) =>
    cp('checkpoints/emoji', join(folder, 'checkpoints/emoji'), { recursive: true }),
  );

  it('is bundled without a file of Node', async () => {
    const { metafile } = await build({
      ...PAGE,
      bundle: true,
      metafile: true,
      write: false,
      outdir: '.',
      format: 'esm',
    });
    assert.deepEqual(
      Object.keys(metafile.inputs).filter((name) => /-node\.ts$/.test(name)),
      [],
    );
  });

  it('opens URLs relative to the page, as fetch does', async () => {
    const file = 'checkpoints/emoji/vq.safetensors';
    const { size } = await stat(file);
    assert.deepEqual(await callIn<typeof sizes>(browser.page, 'sizes', file), [size, size, size]);
  });

  it('gives the same typed errors as in Node', async () => {
    const text = await callIn<typeof refusal>(browser.page, 'refusal');
    assert.match(text, /^OptionError: classes\[0\]: expected a whole number from 0 to \d+, got 100000/);
  });
});
