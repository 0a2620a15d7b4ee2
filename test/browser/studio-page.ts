/** The studio in headless Chromium, and what its tests do there. */

import { execFileSync } from 'node:child_process';
import type { BrowserContextOptions, Page, Route } from 'playwright-core';
import { type BrowserPage, openBrowserPage } from '../support/browser.ts';
import { goldenConfig } from '../support/trace.ts';

export const FOLDER = '.build/studio';

/** Draws 8 lines of 8 tokens, of the references' golden weights. */
export const TINY = {
  family: 'llamagen',
  config: { ...goldenConfig('llamagen-c2i'), sampling: { guidanceScale: 3, temperature: 0, topK: 50, topP: 1 } },
} as const;
export const TINY_FILES = {
  checkpoint: 'test/golden/llamagen-c2i/model.safetensors',
  vq: 'test/golden/llamagen-vq/model.safetensors',
} as const;

/** Class 9 of it without guidance, as Node draws it: the reference's own tokens, `greedy_tokens_cfg1`. */
export const GOLDEN_PICTURE = 'test/browser/tiny.png';

let isBuilt = false;

/** Builds the studio, once for the whole process, and opens an empty page beside it. */
export async function openStudio(): Promise<BrowserPage> {
  if (!isBuilt) execFileSync('node', ['examples/studio/build.mjs', '--no-serve', '--out', FOLDER]);
  isBuilt = true;
  return await openBrowserPage({ folder: FOLDER });
}

/** The studio as a suite's tests see it. To be read in tests alone. */
export interface StudioPage {
  readonly page: Page;
  readonly url: string;
  readonly log: BrowserPage['log'];
  /** What stood on the console as an error. */
  readonly errors: string[];
}

/** For a suite: opens the studio, and a page that keeps nothing of earlier ones. */
export function suiteStudio(options: BrowserContextOptions = {}): StudioPage {
  const errors: string[] = [];
  let browser: BrowserPage;
  let page: Page;
  before(async () => {
    browser = await openStudio();
    page = await freshPage(browser, errors, options);
  });
  after(async () => {
    await page?.close();
    await browser?.close();
  });
  return {
    errors,
    get page() {
      return page;
    },
    get url() {
      return browser.url;
    },
    get log() {
      return browser.log;
    },
  };
}

/** A page of its own, which keeps nothing of earlier ones. What it says on the console as an error is put into `errors`. */
export async function freshPage(
  { page }: BrowserPage,
  errors: string[],
  options: BrowserContextOptions = {},
): Promise<Page> {
  const fresh = await page.context().browser()!.newPage(options); // the browser was launched, so that there is one
  fresh.setDefaultTimeout(0); // mocha's counts: what is slow is not wrong
  fresh.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  fresh.on('pageerror', (error) => errors.push(error.message));
  return fresh;
}

/** Opens the page anew, with these settings in its address. */
export async function visit(page: Page, url: string, settings: Readonly<Record<string, string>> = {}): Promise<void> {
  await page.goto('about:blank'); // another hash alone would not load it anew
  await page.goto(`${url}index.html#${new URLSearchParams(settings)}`);
  await page.waitForFunction(() => document.querySelector('#bytes')?.textContent !== '');
}

/** The same, with the tiny model chosen and its files picked. */
export async function visitTiny(page: Page, url: string, settings: Readonly<Record<string, string>>): Promise<void> {
  await visit(page, url, {
    model: 'another size',
    configuration: JSON.stringify(TINY),
    dtype: 'f32',
    subject: '3',
    ...settings,
  });
  await page.setInputFiles('[name=picked]', TINY_FILES.checkpoint);
  await page.setInputFiles('[name=pickedVq]', TINY_FILES.vq);
}

export async function messageOf(page: Page): Promise<string> {
  return (await page.locator('#message').innerText()).trim();
}

/** Runs `first` in every worker before its own code. */
export async function beforeWorkers(page: Page, first: string): Promise<void> {
  const own = async (route: Route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: `${first}\n${await response.text()}` });
  };
  await page.route('**/assets/draws.js', own);
}

/** How many colors a canvas shows. */
export async function colorsOf(page: Page, selector: string): Promise<number> {
  return await page.locator(selector).evaluate((canvas: HTMLCanvasElement) => {
    const { data } = canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height);
    return new Set(new Uint32Array(data.buffer)).size;
  });
}

/** What a canvas shows, as RGB. */
export async function pixelsOf(page: Page, selector: string): Promise<number[]> {
  return await page
    .locator(selector)
    .first()
    .evaluate((canvas: HTMLCanvasElement) => {
      const { data } = canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height);
      return [...data].filter((_, i) => i % 4 < 3);
    });
}
