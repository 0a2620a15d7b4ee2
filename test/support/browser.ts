/** A page in headless Chromium with WebGPU on SwiftShader, from npm alone or else from the system. */

import { createReadStream, createWriteStream, existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createBrotliDecompress } from 'node:zlib';
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
  /** Ends the browser and the server. */
  close(): Promise<void>;
}

/** Starts a browser and opens an empty page on localhost, beside which the files of `folder` are served. */
export async function openBrowserPage({ folder }: { readonly folder: string }): Promise<BrowserPage> {
  const browser = await startBrowser();
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
      await browser.close();
      await server.close();
    },
  };
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
