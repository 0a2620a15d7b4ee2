import assert from 'node:assert/strict';
import { callIn, suitePage } from '../support/browser.ts';
import type { compute, fileSource } from './compute-page.ts';

describe('the platform layer in headless Chromium', () => {
  const browser = suitePage({ entryPoints: { page: 'test/browser/compute-page.ts' } });

  it('the adapter that the browser offers runs a compute shader', async () => {
    const result = await callIn<typeof compute>(browser.page, 'compute', [1, -2.5, 3e10]);

    assert.match(result.description, /^browser: google, swiftshader/);
    assert.deepEqual(result.numbers, [2, -5, 2 * Math.fround(3e10)]);
  });

  it('a path is refused, since a page cannot open it', async () => {
    const refusal = callIn<typeof fileSource>(browser.page, 'fileSource', 'model.safetensors');

    await assert.rejects(refusal, /OptionError: source: expected a URL or a Blob/);
  });
});
