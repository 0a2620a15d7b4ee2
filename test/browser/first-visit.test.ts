import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { messageOf, pixelsOf, suiteStudio, visit } from './studio-page.ts';

const CHECKPOINT = 'checkpoints/emoji/gpt.safetensors';
const MOST_BYTES = 14e6;
/** Pixels of a side, and of a line of tokens. */
const [SIDE, PATCH] = [64, 4];

describe('a first visit to the studio, with nothing kept', () => {
  const studio = suiteStudio();

  it('shows the first line when its tokens are there, from at most 14 MB of the page’s own files, and stops at Esc', async () => {
    const { page, url, log, errors } = studio;
    const asked: string[] = [];
    page.context().on('request', (request) => asked.push(request.url()));
    await visit(page, url, { guidance: '1', compare: 'false', subject: 'rat' });
    // at once when the first line is painted, while the run waits for the page: no run is too fast for this
    await page.evaluate(() => {
      const stop = new MutationObserver(() => {
        stop.disconnect();
        dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape' }));
      });
      stop.observe(document.querySelector('#kept canvas')!, { attributes: true });
    });
    await page.click('#draw');
    await page.waitForFunction(() => document.querySelector('#message')?.textContent?.startsWith('Stopped'));
    await page.waitForSelector('#draw:enabled');

    assert.equal(await messageOf(page), 'Stopped. What was drawn so far stays on the page.');
    assert.match(await page.innerText('#kept .figures'), /^Line 1 of 16/);
    const drawn = await pixelsOf(page, '#kept canvas');
    assert.equal(drawn.length, 3 * SIDE * SIDE);
    assert.ok(
      drawn.slice(0, 3 * SIDE * PATCH).some((value) => value > 0),
      'a first line',
    );
    assert.ok(
      drawn.slice(-3 * SIDE * PATCH).every((value) => value === 0),
      'no last line yet',
    );
    const bytes = log.reduce((sum, { bytes }) => sum + bytes, 0);
    assert.ok(bytes <= MOST_BYTES, `${bytes} bytes`);
    assert.equal(log.filter(({ path }) => path.endsWith(CHECKPOINT)).length, 1, 'read once, whole');
    assert.deepEqual(
      asked.filter((one) => !/^(blob|data):/.test(one) && !one.startsWith(url)),
      [],
    );
    assert.deepEqual(errors, []);
  });

  it('needs no network afterwards', async () => {
    const { page, url, log, errors } = studio;
    const before = log.length;
    await page.context().setOffline(true);
    await visit(page, url);
    const range = await page.evaluate(async (path) => {
      const response = await fetch(path, { headers: { range: 'bytes=8-15' } });
      return [response.status, response.headers.get('content-range'), (await response.arrayBuffer()).byteLength];
    }, CHECKPOINT);
    assert.deepEqual(range, [206, `bytes 8-15/${(await stat(CHECKPOINT)).size}`, 8]);
    assert.equal(log.length, before);
    assert.deepEqual(errors, []);
  });
});
