import assert from 'node:assert/strict';
import type { Page } from 'playwright-core';
import { callIn, suitePage } from '../support/browser.ts';
import type { beginAndHang, cacheRound, downloadSmall } from './cache-page.ts';

describe('the cache of a browser', () => {
  const browser = suitePage({ entryPoints: { page: 'test/browser/cache-page.ts' } });

  it('goes on with a download that was cut, keeps the whole, and refuses what has another hash', async () => {
    const result = await callIn<typeof cacheRound>(browser.page, 'cacheRound');

    const size = 96 * 2 ** 20;
    const [cut, border] = [24, 88].map((mebibytes) => mebibytes * 2 ** 20) as [number, number];
    assert.deepEqual(
      { ...result, wrong: result.wrong.replace(/sha256 .*/, '') },
      {
        first: 3, // of 8 MiB each
        second: 9,
        resumed: cut,
        size,
        middle: [cut, border].flatMap((at) => [-2, -1, 0, 1].map((i) => (at + i) % 251)),
        again: false,
        wrong: `FormatError: weights: expected ${size} bytes of `,
      },
    );
  });

  it('brings a file once for two tabs, also when one of them is closed in the middle', async () => {
    const context = await browser.page.context().browser()!.newContext(); // the browser was launched, so that there is one
    const tab = async () => {
      const page = await context.newPage();
      await page.goto(browser.url);
      return page;
    };
    const download = (page: Page) => callIn<typeof downloadSmall>(page, 'downloadSmall');
    const [closed, second, third] = await Promise.all([tab(), tab(), tab()]);
    await callIn<typeof beginAndHang>(closed, 'beginAndHang');

    const waiting = [download(second), download(third)];
    await closed.close();

    const results = await Promise.all(waiting);
    assert.deepEqual(
      results.map(({ isWhole }) => isWhole),
      [true, true],
    );
    // what the closed tab had not finished is gone; one of the others brings it, the other finds it
    assert.deepEqual(results.map(({ reads }) => reads).sort(), [0, 3]);
  });
});
