import assert from 'node:assert/strict';
import { join } from 'node:path';
import { beforeWorkers, FOLDER, messageOf, suiteStudio, visit } from './studio-page.ts';

describe('the studio, in headless Chromium', () => {
  const studio = suiteStudio({ serviceWorkers: 'block' });
  afterEach(() => assert.deepEqual(studio.errors.splice(0), []));

  /** What the page says when the work that was begun has failed. */
  const saidOf = async (): Promise<string> => {
    const { page } = studio;
    await page.click('#draw');
    await page.waitForSelector('#message.bad');
    await page.waitForSelector('#draw:enabled');
    return await messageOf(page);
  };

  it('reads its settings from the link, and says what they cost before anything is loaded', async () => {
    const { page, url } = studio;
    await visit(page, url, { subject: 'rat', seed: '5', budget: '3', policy: 'line-ar' });
    assert.equal(await page.inputValue('[name=subject]'), 'rat');
    assert.equal(await page.inputValue('[name=policy]'), 'line-ar');
    assert.match(await page.innerText('#bytes'), /^3 of 16: 0\.\d\d MB of 3\.\d\d MB$/);
    assert.equal(await messageOf(page), 'Choose a picture and press Draw.');

    await visit(page, url, {
      model: 'llamagen-xl-384',
      subject: '207',
      budget: '20',
      checkpoint: 'hf:owner/name',
    });
    assert.match(await page.innerText('#bytes'), /^20 of 24: .* in all$/);
    assert.equal(await page.inputValue('[name=checkpoint]'), 'hf:owner/name');
  });

  it('offers the released models that read captions, with a place for their text encoder', async () => {
    const { page, url } = studio;
    const files = { checkpoint: 'hf:owner/gpt', vq: 'hf:owner/vq', textEncoder: 'hf:google/flan-t5-xl', dtype: 'int4' };
    await visit(page, url, { model: 'llamagen-xl-t2i-512', subject: 'a lighthouse', budget: '8', ...files });
    assert.equal(await page.innerText('#what span'), 'Words');
    assert.equal(await page.inputValue('[name=textEncoder]'), files.textEncoder);
    assert.ok(await page.isVisible('[name=pickedText]'));
    assert.match(await page.innerText('#bytes'), /^8 of 32: .* in all$/);

    await page.selectOption('[name=model]', 'janus-pro-1b');
    await page.waitForFunction(() => document.querySelector('#bytes')?.textContent?.startsWith('8 of 24'));
    assert.ok(await page.isHidden('[name=textEncoder]'));
  });

  it('has a word for everything in a link that is wrong, and draws with what is usual instead', async () => {
    const { page, url } = studio;
    const wrong = {
      ...{ model: 'emojy', subject: 'no such thing', seed: '1.5', guidance: '99', policy: 'full', budget: '17' },
      ...{ compare: 'yes', checkpoint: 'hf:a/b', dtype: 'f8', configuration: '{', colour: 'red', __proto__x: '1' },
    };
    await visit(page, url, wrong);
    await page.waitForSelector('#message.bad');
    const said = await messageOf(page);
    assert.deepEqual(
      Object.keys(wrong).filter((name) => !said.includes(name)),
      ['subject', 'checkpoint'],
    );
    assert.match(said, /no class ‘no such thing’/);
    assert.match(said, /its model is in this page: they are not used/);
    assert.match(said, /budget to 17; this model draws 16 lines/);
    const form = await page.evaluate(() => Object.fromEntries(new FormData(document.querySelector('form')!)));
    const { picked: _, pickedVq: __, pickedText: ___, ...values } = form;
    assert.deepEqual(values, {
      ...{ model: 'emoji', configuration: '', checkpoint: '', vq: '', textEncoder: '', token: '', dtype: 'f16' },
      ...{
        subject: 'no such thing',
        seed: '7',
        guidance: '2',
        policy: 'summary',
        budget: '16',
        kvDtype: 'floats',
        compare: 'on',
      },
    });
    assert.equal(await saidOf(), 'There is no class ‘no such thing’. Choose one from the list, or give its number.');
  });

  it('copies a link that opens with the same settings', async () => {
    const { page, url } = studio;
    await visit(page, url, { seed: '5', guidance: '1.5', compare: 'false', policy: 'h2o', kvDtype: 'int8' });
    await page.click('#share');
    await page.waitForFunction(() => document.querySelector('#message')?.textContent?.includes('every setting'));
    assert.equal(new URL(page.url()).hash, '#seed=5&guidance=1.5&policy=h2o&kvDtype=int8&compare=false');
  });

  it('violates no rule of axe, wide and light, narrow and dark', async () => {
    const { page, url } = studio;
    for (const [width, colorScheme] of [
      [1280, 'light'],
      [390, 'dark'],
    ] as const) {
      await page.setViewportSize({ width, height: 900 });
      await page.emulateMedia({ colorScheme });
      await visit(page, url, { model: 'another size', configuration: '{}', subject: '1' }); // every field is shown
      await page.addScriptTag({ path: 'node_modules/axe-core/axe.min.js' });
      const violations = await page.evaluate(async () => {
        const { axe } = globalThis as unknown as { axe: { run(): Promise<{ violations: { id: string }[] }> } };
        return (await axe.run()).violations.map(({ id }) => id);
      });
      assert.deepEqual(violations, [], `${width}`);
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(overflow <= 0, `${width}: ${overflow} pixels too wide`);
    }
    await page.setViewportSize({ width: 1280, height: 900 });
  });

  it('says what is wrong with files, names and rights, and what to do', async () => {
    const { page, url, errors } = studio;
    const janus = { model: 'janus-pro-1b', subject: 'a cat', compare: 'false' };
    await visit(page, url, { ...janus, checkpoint: 'hf:owner/private' });
    await page.route('https://huggingface.co/**', (route) => route.fulfill({ status: 401, body: 'no' }));
    assert.match(await saidOf(), /^The hub does not give this without rights.*token.*got 401/);
    await page.fill('[name=checkpoint]', 'hf:owner/none');
    await page.unroute('https://huggingface.co/**');
    await page.route('https://huggingface.co/**', (route) => route.fulfill({ status: 404, body: 'no' }));
    assert.match(await saidOf(), /^There is no such file or repository/);
    await page.fill('[name=checkpoint]', '');
    await page.setInputFiles('[name=picked]', {
      name: 'cat.safetensors',
      mimeType: '',
      buffer: Buffer.from('a letter, no checkpoint'),
    });
    assert.match(await saidOf(), /^That file is not a checkpoint of this model, or it is damaged/);
    await page.fill('[name=checkpoint]', 'hf:owner/name');
    assert.match(await saidOf(), /^Both ‘hf:owner\/name’ and cat.safetensors are given for the checkpoint: clear one/);
    errors.length = 0; // the browser itself logs statuses of 400 and more
  });

  it('begins no download that the browser has no room for', async () => {
    const { page, url } = studio;
    const protocol = await page.context().newCDPSession(page);
    await protocol.send('Storage.overrideQuotaForOrigin', { origin: url.slice(0, -1), quotaSize: 1e8 });
    const siblings = [{ rfilename: 'model.safetensors', size: 3e9, lfs: { sha256: '0'.repeat(64) } }];
    const asked: string[] = [];
    await page.route('https://huggingface.co/**', async (route) => {
      asked.push(route.request().url());
      await route.fulfill({ json: { sha: '0'.repeat(40), siblings } });
    });
    await visit(page, url, { model: 'janus-pro-1b', subject: 'a cat', checkpoint: 'hf:owner/large' });
    assert.match(await saidOf(), /^There is not enough room for this download, so it was not begun.*3\.000 GB more/);
    assert.equal(asked.length, 1);
    assert.match(await page.innerText('#stored'), /^No released model has been downloaded\./);
    await page.unroute('https://huggingface.co/**');
  });

  it('reads released models anew where storage is blocked, and says so', async () => {
    const { page, url, errors } = studio;
    const blocked = `if (isSecureContext) StorageManager.prototype.getDirectory = () => Promise.reject(new DOMException('blocked', 'SecurityError'));`;
    await page.addInitScript(blocked);
    await beforeWorkers(page, blocked);
    await page.route('https://huggingface.co/**', (route) => route.fulfill({ status: 404, body: 'no' }));
    await visit(page, url, { model: 'janus-pro-1b', subject: 'a cat', checkpoint: 'hf:owner/none' });
    await page.waitForFunction(() =>
      document.querySelector('#stored')?.textContent?.includes('are read anew each time'),
    );
    assert.match(await saidOf(), /^There is no such file or repository/); // the hub was asked, though nothing can be kept
    errors.length = 0;
  });

  it('says in its own words that a browser has no WebGPU, or that the page came over plain http', async () => {
    const { page, url } = studio;
    await page.addInitScript(() => Object.defineProperty(Navigator.prototype, 'gpu', { get: () => undefined }));
    await visit(page, url);
    assert.match(await messageOf(page), /does not offer WebGPU\. Use a current/);
    assert.ok(await page.isDisabled('#draw'));

    const plain = 'http://studio.test/';
    await page.route(`${plain}**`, (route) =>
      route.fulfill({ path: join(FOLDER, new URL(route.request().url()).pathname) }),
    );
    await visit(page, plain);
    assert.match(await messageOf(page), /secure pages only.*Open it over https/);
    assert.ok(await page.isDisabled('#draw'));
  });
});
