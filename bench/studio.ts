/**
 * `npm run bench:studio`: what the studio costs its page, in headless Chromium on SwiftShader: bytes of a first visit, blocks of
 * the main thread and frames of the page while it draws and while it rests, and memory after 2 and after 20 pictures. Figures of time are this machine's. With a folder as argument it
 * leaves screenshots there.
 */

import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { freshPage, openStudio, visit, visitTiny } from '../test/browser/studio-page.ts';
import { closeBrowser } from '../test/support/browser.ts';
import { report } from './support.ts';

const folder = process.argv[2];
const errors: string[] = [];
const browser = await openStudio();
const page = await freshPage(browser, errors);
const shot = async (name: string) => {
  if (folder) await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
};

await page.setViewportSize({ width: 1280, height: 900 });
await page.addInitScript(() => {
  const blocks: number[] = [];
  new PerformanceObserver((list) => blocks.push(...list.getEntries().map(({ duration }) => duration))).observe({
    type: 'longtask',
  });
  const frames: number[] = [];
  const onFrame = (time: number) => {
    frames.push(time);
    requestAnimationFrame(onFrame);
  };
  requestAnimationFrame(onFrame);
  Object.assign(globalThis, { blocks, frames });
});
const seen = async (what: string) => {
  const { blocks, frames } = await page.evaluate(() => {
    const { blocks, frames } = globalThis as unknown as { blocks: number[]; frames: number[] };
    return { blocks: blocks.splice(0), frames: frames.splice(0) };
  });
  const gaps = frames.slice(1).map((time, i) => time - frames[i]!);
  gaps.sort((a, b) => a - b);
  return {
    what,
    'longest block of the page, ms': Math.max(0, ...blocks),
    'frames a second': Math.round((1000 * gaps.length) / gaps.reduce((sum, gap) => sum + gap, 0)),
    'longest of 99 % of the frames, ms': Math.round(gaps[Math.floor(0.99 * gaps.length)] ?? 0),
  };
};
await visit(page, browser.url, { subject: 'cherries', seed: '5', guidance: '1' });
await page.waitForTimeout(3000);
const resting = await seen('resting');
await page.click('#draw');
await page.waitForFunction(() => document.querySelector('#kept .figures')?.textContent?.startsWith('Line 1 of'));
const loading = await seen('loading and compiling');
await page.waitForFunction(() => document.querySelector('#kept .figures')?.textContent?.startsWith('Line 9 of'));
await shot('running');
await page.waitForSelector('#shelf li:nth-child(2)');
report('two pictures of the embedded model', [resting, loading, await seen('drawing')]);
await shot('light');
report('first visit', [
  { megabytes: browser.log.reduce((sum, { bytes }) => sum + bytes, 0) / 1e6, requests: browser.log.length },
]);
await page.setViewportSize({ width: 390, height: 844 });
await page.emulateMedia({ colorScheme: 'dark' });
await shot('narrow');
await page.close();

const tiny = await freshPage(browser, errors, { serviceWorkers: 'block' });
await visitTiny(tiny, browser.url, { guidance: '1', compare: 'false' });
const rows = [];
for (let drawn = 1; drawn <= 20; drawn++) {
  await tiny.click('#draw');
  await tiny.waitForSelector(`#shelf li:nth-child(${drawn})`);
  if (drawn === 2 || drawn === 20)
    rows.push({
      drawn,
      'heap of the page, MB': await heapOf(tiny),
      'on the GPU': /, (.*) on the GPU/.exec(await tiny.innerText('#kept .figures'))?.[1],
    });
}
report('memory, pictures of 8 x 8 tokens', rows);
report(
  'errors',
  errors.map((error) => ({ error })),
);
await browser.close();
await closeBrowser();

async function heapOf(page: Page): Promise<number> {
  const protocol = await page.context().newCDPSession(page);
  await protocol.send('HeapProfiler.collectGarbage');
  await protocol.send('Performance.enable');
  const { metrics } = await protocol.send('Performance.getMetrics');
  return (metrics.find(({ name }) => name === 'JSHeapUsedSize')?.value ?? 0) / 1e6;
}
