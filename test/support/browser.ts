/** A page in headless Chromium with WebGPU on SwiftShader, from npm alone or else from the system. */

import { createReadStream, createWriteStream, existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createBrotliDecompress } from 'node:zlib';
import { type BuildOptions, build } from 'esbuild';
import { type Browser, chromium, type Page } from 'playwright-core';
import { chromiumPackage, unpack } from '../../src/tensor/device/swiftshader-node.ts';
import { cachedFolder } from '../../src/tensor/source/cache-folder-node.ts';
import { type Answered, serveFolder } from './static-server.ts';

const SYSTEM_CHROMIUM = '/usr/bin/chromium';
const SHELL = 'chromium';
/** All are needed for right numbers and a right canvas; `--disable-vulkan-surface` would leave the canvas blank. */
const FLAGS = [
  '--no-sandbox',
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
  '--use-vulkan=swiftshader',
  '--use-angle=swiftshader',
  '--enable-features=Vulkan',
  '--disable-dawn-features=use_vulkan_zero_initialize_workgroup_memory_extension', // as in Node: compiles faster
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
  '--disable-quic',
];

export interface BrowserPage {
  readonly page: Page;
  /** Address of the folder, with a slash at the end. */
  readonly url: string;
  /** What the server has answered so far. */
  readonly log: readonly Answered[];
  /** Ends the server, closes the page. */
  close(): Promise<void>;
}

/** One for the whole process: a browser starts for a second, and knows shaders that it has compiled. */
let shared: Promise<Browser> | undefined;

/** Until it is called the process does not end by itself. */
export async function closeBrowser(): Promise<void> {
  await (await shared)?.close();
  shared = undefined;
}

/** An empty page on localhost that keeps nothing of others, beside which the files of `folder` are served. */
export async function openBrowserPage({ folder }: { readonly folder: string }): Promise<BrowserPage> {
  shared ??= startBrowser();
  const browser = await shared;
  const server = await serveFolder(folder);
  const page = await browser.newPage();
  page.on('pageerror', (error) => console.error(`page: ${error.message}`));
  page.on('console', (message) => message.type() === 'error' && console.error(`page: ${message.text()}`));
  await page.goto(server.url);
  return {
    page,
    url: server.url,
    log: server.log,
    close: async () => {
      await page.close();
      await server.close();
    },
  };
}

/**
 * For a suite: before its tests a page is opened beside what esbuild bundles and `fill` adds, after them all is gone. To be
 * read in tests alone.
 */
export function suitePage(bundle: BuildOptions, fill = async (_folder: string): Promise<void> => {}): BrowserPage {
  let folder: string;
  let opened: BrowserPage;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rasterline-test-'));
    await build({ bundle: true, format: 'esm', platform: 'browser', target: 'es2022', outdir: folder, ...bundle });
    await fill(folder);
    opened = await openBrowserPage({ folder });
  });
  after(async () => {
    await opened?.close();
    await rm(folder, { recursive: true });
  });
  return {
    get page() {
      return opened.page;
    },
    get url() {
      return opened.url;
    },
    get log() {
      return opened.log;
    },
    close: () => opened.close(),
  };
}

/** Calls a function that the page's bundle `page.js` exports, in the page. */
export async function callIn<F extends (...given: never[]) => unknown>(
  page: Page,
  name: string,
  ...given: Parameters<F>
): Promise<Awaited<ReturnType<F>>> {
  return await page.evaluate(
    async ([name, given]) => (await import(new URL('page.js', location.href).href))[name](...given),
    [name, given] as const,
  );
}

async function startBrowser(): Promise<Browser> {
  try {
    const executablePath = await unpackShell();
    return await launch(executablePath, { LD_LIBRARY_PATH: join(dirname(executablePath), 'lib') });
  } catch (error) {
    if (!existsSync(SYSTEM_CHROMIUM)) throw error;
    console.error(
      `the headless shell from npm did not start, taking ${SYSTEM_CHROMIUM}: ${(error as Error).message.split('\n')[0]}`,
    );
    return await launch(SYSTEM_CHROMIUM, {});
  }
}

async function launch(executablePath: string, variables: Readonly<Record<string, string>>): Promise<Browser> {
  const inherited = Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return await chromium.launch({
    executablePath,
    args: FLAGS,
    env: { ...Object.fromEntries(inherited), ...variables },
  });
}

/** The headless shell with its SwiftShader beside it and its libraries in `lib`, unpacked once to the user's cache. */
async function unpackShell(): Promise<string> {
  const { folder: source, version } = await chromiumPackage();
  const bin = join(source, 'bin');
  const folder = await cachedFolder(
    `chromium-${version}-${process.arch}`,
    [SHELL, 'libvk_swiftshader.so', 'lib/libnss3.so'],
    async (draft) => {
      await mkdir(join(draft, 'lib'));
      await unpack(join(bin, 'swiftshader.tar.br'), draft);
      await unpack(join(bin, 'al2023.tar.br'), join(draft, 'lib'));
      await pipeline(
        createReadStream(join(bin, 'chromium.br')),
        createBrotliDecompress(),
        createWriteStream(join(draft, SHELL), { mode: 0o755 }),
      );
    },
  );
  return join(folder, SHELL);
}
