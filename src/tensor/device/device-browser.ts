/** Adapters in a browser: the browser makes the choice. */

import { DeviceError, OptionError, RasterlineError } from '../errors.ts';
import {
  type AdapterChoice,
  checkDriver,
  describeAdapter,
  type FoundAdapter,
  identify,
  type ListedAdapter,
  listed,
} from './adapter.ts';

export type { CachedText } from './adapter.ts';
export { cachedText } from './cached-text-browser.ts';

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

/** Pages are not told the driver's version; the browser's, which brings compilers and often drivers, stands for it. */
export function adapterIdentity(info: GPUAdapterInfo): string {
  return identify(info, navigator.userAgent);
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
