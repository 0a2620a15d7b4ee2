import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { decode } from 'fast-png';
import { readRecipe } from '../../src/png.ts';
import { type HubServer, serveHub } from '../support/hub-server.ts';
import {
  beforeWorkers,
  colorsOf,
  GOLDEN_PICTURE,
  messageOf,
  pixelsOf,
  suiteStudio,
  TINY,
  TINY_FILES,
  visitTiny,
} from './studio-page.ts';

/** Where the first device ends: within the second to the fourth line of eight, whatever previews were left out. */
const LAST_SUBMIT = 40;
const LOSES_ITS_DEVICE = `
const request = GPUAdapter.prototype.requestDevice;
GPUAdapter.prototype.requestDevice = async function (...given) {
  const device = await request.apply(this, given);
  const submit = device.queue.submit.bind(device.queue);
  let submits = 0;
  device.queue.submit = (buffers) => {
    submit(buffers);
    if (++submits === ${LAST_SUBMIT}) device.destroy();
  };
  return device;
};`;

/** As the hub answers, which lets pages of other origins see these. */
const SHOWN = { 'access-control-allow-origin': '*', 'access-control-expose-headers': 'content-range, etag' };
const ON_HUB = { checkpoint: 'hf:owner/tiny/checkpoint.safetensors', vq: 'hf:owner/tiny/vq.safetensors' };

describe('the studio, drawing in headless Chromium', () => {
  const studio = suiteStudio({ serviceWorkers: 'block' });
  let hub: HubServer;
  before(async () => {
    const read = async ([name, file]: readonly [string, string]) =>
      [`${name}.safetensors`, await readFile(file)] as const;
    hub = await serveHub(new Map(await Promise.all(Object.entries(TINY_FILES).map(read))));
    await studio.page.route('https://huggingface.co/**', async (route) => {
      const { pathname, search } = new URL(route.request().url());
      const response = await route.fetch({ url: `${hub.url}${pathname}${search}` });
      await route.fulfill({ response, headers: { ...response.headers(), ...SHOWN } });
    });
    // where the page itself opens no device, no draw blocks it for longer than it takes to paint
    await studio.page.addInitScript(() => {
      if (isSecureContext) GPU.prototype.requestAdapter = () => Promise.reject(new Error('opened in the page'));
    });
  });
  after(async () => await hub?.close());

  it('goes on from the last line when its device is lost, to the picture that a model of a hub draws undisturbed', async () => {
    const { page, url } = studio;
    await beforeWorkers(page, LOSES_ITS_DEVICE);
    await visitTiny(page, url, { subject: '9', seed: '5', guidance: '1', policy: 'summary', budget: '4' });
    await page.click('#draw');
    await page.waitForSelector('#go-on');
    assert.match(
      await messageOf(page),
      /^The graphics device was lost\. The lines drawn so far are safe\..*\n+Go on from line [1-6]$/,
    );

    await page.unroute('**/assets/draws.js');
    await page.click('#go-on');
    await page.waitForSelector('#shelf li:nth-child(2)');
    await page.uncheck('[name=compare]');
    for (const [name, of] of Object.entries(ON_HUB)) await page.fill(`[name=${name}]`, of);
    for (const name of ['picked', 'pickedVq']) await page.setInputFiles(`[name=${name}]`, []);
    await page.click('#draw');
    await page.waitForSelector('#shelf li:nth-child(3), #message.bad');

    assert.match(await messageOf(page), /^Drawn\./);
    const [again, , goneOn] = await Promise.all(
      [1, 2, 3].map((i) => pixelsOf(page, `#shelf li:nth-child(${i}) canvas`)),
    );
    assert.deepEqual(goneOn, again);
    assert.deepEqual(await pixelsOf(page, '#kept canvas'), again);
  });

  it('draws the picture of the reference, and shows what is remembered of it', async () => {
    const { page } = studio;
    const expected = decode(await readFile(GOLDEN_PICTURE)).data;
    const drawn = await pixelsOf(page, '#full canvas');
    assert.equal(drawn.length, expected.length);
    // the decoder's f32 sums in another order move a value by far less than the half step that rounds it to the next
    assert.ok(drawn.every((value, i) => Math.abs(value - expected[i]!) <= 1));

    assert.match(
      await page.innerText('#kept .figures'),
      /^\d+ tokens\/s, 0\.\d\d MB remembered\n\d+ dispatches a token/,
    );
    assert.deepEqual((await page.locator('#pages li').allInnerTexts()).sort(), ['current', 'kept', 'kept', 'recent']);
    const map = page.locator('#memory canvas');
    const heads = await map.getAttribute('aria-label');
    assert.match(heads ?? '', /: \d+ of 6[34] drawn/);
    const colors = await colorsOf(page, '#memory canvas');
    await page.selectOption('#layer', '1');
    await page.selectOption('#head', '0');
    // one head holds a token or not: no mean of several is left
    assert.ok((await colorsOf(page, '#memory canvas')) < colors);
    await page.click('#theme');
    assert.equal(await page.evaluate(() => document.documentElement.style.colorScheme), 'dark');
  });

  it('gives a PNG with every number of the draw, and forgets pictures and downloads that are deleted', async () => {
    const { page, errors } = studio;
    const shelf = page.locator('#shelf li');
    const button = (name: string) => shelf.last().getByRole('button', { name });
    const [download] = await Promise.all([page.waitForEvent('download'), button('PNG').click()]);
    const { model, prompt, sampling, cache, loaded } = readRecipe(await readFile(await download.path()));
    assert.deepEqual(model, structuredClone(TINY));
    assert.deepEqual(prompt, { classes: [9] });
    assert.deepEqual(sampling, { ...TINY.config.sampling, guidanceScale: 1, cfgInterval: -1, seed: 5, firstImage: 0 });
    assert.deepEqual(cache, { policy: 'summary', budgetLines: 4 });
    assert.deepEqual(loaded, { dtype: 'f32', checkpoint: 'model.safetensors', vq: 'model.safetensors' });

    for (let left = await shelf.count(); left > 0; left--) await button('Delete').click();
    assert.ok(await page.isVisible('#empty'));
    assert.match(await page.innerText('#stored'), /vq\.safetensors, 1\.71 MB.*The browser offers/);
    await page.click('#clear');
    await page.waitForFunction(() => document.querySelector('#stored')?.textContent?.startsWith('No released model'));
    assert.deepEqual(errors, []);
  });

  it('draws one subject over policies and budgets onto a contact sheet', async () => {
    const { page, errors } = studio;
    const [download] = await Promise.all([page.waitForEvent('download'), page.click('#sheet')]);
    const { width, height, channels, data } = decode(await readFile(await download.path()));
    // names, and pictures of 3 and 4 of 8 lines; everything, and three policies
    const cell = 10 * 16 + 12;
    assert.deepEqual([width, height], [110 + 2 * cell, 44 + 4 * (cell + 26)]);
    const colorsAt = (row: number, column: number) => {
      const at = (x: number, y: number) => channels * ((44 + row * (cell + 26) + y) * width + 110 + column * cell + x);
      return new Set(Array.from({ length: 160 * 160 }, (_, i) => data[at(i % 160, Math.floor(i / 160))])).size;
    };
    assert.equal(colorsAt(0, 1), 1); // everything is one picture
    for (const row of [1, 2, 3]) for (const column of [0, 1]) assert.ok(colorsAt(row, column) > 8, `${row} ${column}`);
    assert.deepEqual(errors, []);
  });
});
