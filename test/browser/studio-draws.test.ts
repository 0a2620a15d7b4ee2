import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { decode } from 'fast-png';
import { readRecipe } from '../../src/png.ts';
import { beforeWorkers, GOLDEN_PICTURE, messageOf, pixelsOf, suiteStudio, TINY, visitTiny } from './studio-page.ts';

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

describe('the studio, drawing in headless Chromium', () => {
  const studio = suiteStudio({ serviceWorkers: 'block' });

  it('goes on from the last line with the same picture when its device is lost', async () => {
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
    await page.click('#draw');
    await page.waitForSelector('#shelf li:nth-child(3)');

    assert.equal(await messageOf(page), '');
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
    assert.match((await page.locator('#memory canvas').getAttribute('aria-label')) ?? '', /: \d+ of 6[34] drawn/);
  });

  it('gives a PNG with every number of the draw, and forgets a picture that is deleted', async () => {
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
    assert.deepEqual(errors, []);
  });
});
