/**
 * SwiftShader, a Vulkan driver on the CPU, from the npm package `@sparticuz/chromium`: the package ships it packed
 * (tar, brotli) for its own browser, together with a Vulkan loader.
 */

import { readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { brotliDecompress } from 'node:zlib';
import { parseTar } from 'nanotar';
import { DeviceError } from '../errors.ts';
import { cachedFolder } from '../source/cache-folder-node.ts';

const PACKAGE = '@sparticuz/chromium';
const ICD = 'vk_swiftshader_icd.json';
const LOADER = 'libvulkan.so.1';
const FILES = [ICD, LOADER, 'libvk_swiftshader.so'];

/** Paths of the unpacked driver. */
export interface SwiftShader {
  /** Driver manifest, the file that VK_DRIVER_FILES names. */
  readonly icd: string;
  /** The Vulkan loader that came with it, for systems without one. */
  readonly loader: string;
}

/** Unpacks the driver into the user's cache, once. Throws DeviceError if the package is missing, or made for another machine. */
export async function unpackSwiftShader(): Promise<SwiftShader> {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new DeviceError(
      `swiftshader: expected Linux on x64, got ${process.platform} on ${process.arch}; on Linux install Mesa 25 or newer (mesa-vulkan-drivers)`,
    );
  }
  const { folder: source, version } = await chromiumPackage();
  const folder = await cachedFolder(`swiftshader-${version}-${process.arch}`, FILES, async (draft) => {
    await unpack(join(source, 'bin', 'swiftshader.tar.br'), draft, FILES);
  });
  return { icd: join(folder, ICD), loader: join(folder, LOADER) };
}

/** Where the npm package is (seen from this library, else from the working directory) and its version. Throws DeviceError. */
export async function chromiumPackage(): Promise<{ folder: string; version: string }> {
  const require = createRequire(import.meta.url);
  let entry: string;
  try {
    entry = require.resolve(PACKAGE, { paths: [dirname(fileURLToPath(import.meta.url)), process.cwd()] });
  } catch {
    throw new DeviceError(`swiftshader: expected the npm package ${PACKAGE}, got none; npm install ${PACKAGE}`);
  }
  // its `exports` hide package.json, so it is found from build/cjs/index.cjs
  const folder = dirname(dirname(dirname(entry)));
  const { version } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as { version: string };
  return { folder, version };
}

/** Writes the plain files of a `.tar.br` into `folder` without their folders: those named in `names`, or all. */
export async function unpack(archive: string, folder: string, names?: readonly string[]): Promise<void> {
  const tar = await promisify(brotliDecompress)(await readFile(archive));
  // parseTar reads the buffer behind a view from its first byte, so it gets a copy of its own
  for (const { name, data, type } of parseTar(new Uint8Array(tar))) {
    const file = name.slice(name.lastIndexOf('/') + 1);
    if (type === 'file' && data && file && (names?.includes(file) ?? true))
      await writeFile(join(folder, file), data, { mode: 0o755 });
  }
}
