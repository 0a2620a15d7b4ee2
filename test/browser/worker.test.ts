import assert from 'node:assert/strict';
import { cp, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decode } from 'fast-png';
import { callIn, suitePage } from '../support/browser.ts';
import { GOLDEN_PICTURE, TINY, TINY_FILES } from './studio-page.ts';
import type { workerRound } from './worker-page.ts';

describe('a worker of a page', () => {
  const browser = suitePage(
    {
      entryPoints: { page: 'test/browser/worker-page.ts', draws: 'examples/studio/draws.ts' },
      ...{ splitting: true, tsconfig: 'examples/studio/tsconfig.json' },
    },
    async (folder) => {
      for (const [name, file] of Object.entries(TINY_FILES)) await cp(file, join(folder, `${name}.safetensors`));
    },
  );

  it('draws, paints a canvas of the page, previews, aborts, and gives back what it took', async () => {
    const files = { checkpoint: 'checkpoint.safetensors', vq: 'vq.safetensors' };
    const result = await callIn<typeof workerRound>(browser.page, 'workerRound', TINY, files);

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
