/** The platform layer in a browser: the adapter is the browser's choice, and files come as URLs and Blobs. */

import {
  type AdapterChoice,
  checkDriver,
  describeAdapter,
  type FoundAdapter,
  type ListedAdapter,
  listed,
} from './adapter.ts';
import type { ByteSource } from './bytes.ts';
import { DeviceError, OptionError, RasterlineError } from './errors.ts';
import type { FileSet } from './file-set.ts';
import { urlSource } from './url-source.ts';

export { fileCache } from './file-cache-browser.ts';

/** Asks the browser for an adapter. Throws DeviceError where WebGPU is off, OptionError for a driver of Node's. */
export async function findAdapter(choice: AdapterChoice = {}): Promise<FoundAdapter> {
  const driver = checkDriver('driver', choice.driver ?? 'auto');
  if (driver !== 'auto' && driver !== 'gpu') {
    throw new OptionError(`driver: expected 'auto' in a browser, got '${driver}'; the browser chooses its own driver`);
  }
  if (!navigator.gpu) {
    throw new DeviceError(
      'adapter: expected a browser with WebGPU, got none; serve the page from https or localhost, and update the browser or enable WebGPU in it',
    );
  }
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) {
    throw new DeviceError(
      'adapter: expected one from the browser, got null; its list of blocked GPUs may hold this one, or hardware acceleration is off',
    );
  }
  return { adapter, kind: 'browser', description: `browser: ${describeAdapter(adapter.info)}`, keepAlive: undefined };
}

/** The one adapter that the browser offers, or why it offers none. */
export async function listAdapters(): Promise<readonly ListedAdapter[]> {
  try {
    return [listed(await findAdapter())];
  } catch (error) {
    if (!(error instanceof RasterlineError)) throw error;
    return [{ state: 'unusable', kind: 'browser', reason: error.message }];
  }
}

/** Throws OptionError: a page cannot open a path. */
export async function fileSource(path: string): Promise<ByteSource> {
  throw new OptionError(`source: expected a URL or a Blob in a browser, got the path '${path}'`);
}

/** A page has no folders: undefined, so that `fileSource` says so. */
export async function folderSet(_path: string): Promise<FileSet | undefined> {
  return undefined;
}

/** A file that ships with this package, beside the folder of its bundled code. */
export async function packagedSource(path: string): Promise<ByteSource> {
  return await urlSource(new URL(`../${path}`, import.meta.url));
}
