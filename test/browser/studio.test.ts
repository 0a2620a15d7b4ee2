import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { type BrowserPage, openBrowserPage } from '../support/browser.ts';

describe('the studio, in headless Chromium', () => {
  let browser: BrowserPage;
  const errors: string[] = [];
  before(async () => {
    execFileSync('node', ['examples/studio/build.mjs', '--no-serve', '--out', '.build/studio']);
    browser = await openBrowserPage({ folder: '.build/studio' });
    browser.page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  });
  after(async () => await browser?.close());

  it('reads its settings from the link, and says what they cost before anything is loaded', async () => {
    const { page, url } = browser;
    await page.goto(`${url}index.html#subject=rat&seed=5&budget=3&policy=line-ar`);
    assert.equal(await page.inputValue('[name=subject]'), 'rat');
    assert.equal(await page.inputValue('[name=policy]'), 'line-ar');
    await page.waitForFunction(() => document.querySelector('#bytes')?.textContent?.includes('of 16'));
    assert.match((await page.textContent('#bytes')) ?? '', /^3 of 16: 0\.\d\d MB of 3\.\d\d MB$/);
    assert.deepEqual(errors, []);
  });

  it('violates no rule of axe, wide and light, narrow and dark', async () => {
    const { page, url } = browser;
    for (const [width, colorScheme] of [
      [1280, 'light'],
      [390, 'dark'],
    ] as const) {
      await page.setViewportSize({ width, height: 900 });
      await page.emulateMedia({ colorScheme });
      await page.goto(`${url}index.html`);
      await page.addScriptTag({ path: 'node_modules/axe-core/axe.min.js' });
      const violations = await page.evaluate(async () => {
        const { axe } = globalThis as unknown as { axe: { run(): Promise<{ violations: { id: string }[] }> } };
        return (await axe.run()).violations.map(({ id }) => id);
      });
      assert.deepEqual(violations, [], `${width}`);
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(overflow <= 0, `${width}: ${overflow} pixels too wide`);
    }
  });

  it('says in its own words that a browser has no WebGPU', async () => {
    const { page, url } = browser;
    await page.addInitScript(() => Object.defineProperty(Navigator.prototype, 'gpu', { get: () => undefined }));
    await page.goto(`${url}index.html?without`);
    assert.match((await page.textContent('#message')) ?? '', /does not offer WebGPU. Use a current/);
    assert.ok(await page.isDisabled('#draw'));
  });
});
