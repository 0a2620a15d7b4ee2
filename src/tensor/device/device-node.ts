/**
 * Adapters in Node and Bun: Dawn through the optional npm package `webgpu`, on the best driver that works. Deno brings its
 * own WebGPU and needs no package.
 *
 * Nothing is put on `globalThis`: with `navigator.gpu` set there, Node does not exit (dawn-gpu/node-webgpu, issue 18).
 */

import { isMainThread } from 'node:worker_threads';
import { DeviceError, OptionError } from '../errors.ts';
import {
  type AdapterChoice,
  type AdapterKind,
  checkDriver,
  type Driver,
  describeAdapter,
  type FoundAdapter,
  identify,
  type ListedAdapter,
  listed,
} from './adapter.ts';
import { unpackSwiftShader } from './swiftshader-node.ts';
import { hasSystemLoader, loadVulkan, oldLavapipe, withEnvironment } from './vulkan-node.ts';

export type { CachedText } from './adapter.ts';
export { cachedText } from './cached-text-node.ts';

type Create = (options: string[]) => GPU;

/**
 * Zeroes the memory of workgroups by a loop of the shader: SwiftShader unrolls the extension that zeroes it otherwise, and
 * compiles attention four times as long.
 */
const ZEROED_BY_LOOPS = 'disable-dawn-features=use_vulkan_zero_initialize_workgroup_memory_extension';

/** In the order of choice. */
const LISTED: readonly Exclude<Driver, 'auto'>[] = ['gpu', 'lavapipe', 'swiftshader', 'null'];
const LAVAPIPE_REMEDY = 'install Mesa 25 or newer (mesa-vulkan-drivers; on Debian 12 from bookworm-backports)';

/** One search at a time: each sets variables of the process for a moment. */
let turn: Promise<unknown> = Promise.resolve();

/**
 * Finds an adapter: the machine's GPU, else an installed lavapipe that works, else the SwiftShader of the npm package
 * `@sparticuz/chromium`. `driver` (or, when that is `auto`, the variable RASTERLINE_DRIVER) asks for just one of them.
 *
 * In Deno `auto` and `gpu` ask Deno's own `navigator.gpu`; the other names go through the npm package there too.
 *
 * Throws OptionError for an unknown driver or toggle name, DeviceError with what was tried and what to install.
 */
export function findAdapter(choice: AdapterChoice = {}): Promise<FoundAdapter> {
  const search = turn.then(() => find(choice));
  turn = search.catch(() => undefined);
  return search;
}

/** Every kind of driver, and whether it works or why not; `findAdapter` takes the first that works. */
export async function listAdapters(): Promise<readonly ListedAdapter[]> {
  const list: ListedAdapter[] = [];
  for (const kind of LISTED) {
    try {
      list.push(listed(await findAdapter({ driver: kind })));
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
      list.push({ state: 'unusable', kind, reason: error.message });
    }
  }
  return list;
}

/** Dawn's description of an adapter names its driver's version. */
export function adapterIdentity(info: GPUAdapterInfo): string {
  return identify(info);
}

async function find(choice: AdapterChoice): Promise<FoundAdapter> {
  const driver = chosenDriver(choice.driver);
  const toggles = choice.dawnToggles ?? [];
  const wrong = toggles.find((name) => !/^\w+$/.test(name));
  if (wrong !== undefined) throw new OptionError(`dawnToggles: expected names of Dawn toggles, got '${wrong}'`);
  const options = toggles.length > 0 ? [`enable-dawn-features=${toggles.join(',')}`] : [];
  const own = globalThis.navigator?.gpu;
  if (own && (driver === 'auto' || driver === 'gpu')) return await ownAdapter(own, driver);
  const create = await loadDawn();
  switch (driver) {
    case 'auto':
      return await best(create, options);
    case 'gpu': {
      const found = await system(create, options);
      if (found?.kind === 'gpu') return found;
      throw new DeviceError(
        `gpu: expected a GPU that Dawn can use, got ${found?.description ?? 'no adapter'}; install the Vulkan driver of the GPU`,
      );
    }
    case 'lavapipe': {
      const found = await system(create, [...options, 'adapter=llvmpipe']);
      if (found?.kind === 'lavapipe') return found;
      throw new DeviceError(
        `lavapipe: expected Mesa's software driver, got ${(await oldLavapipe()) ?? 'none'}; ${LAVAPIPE_REMEDY}`,
      );
    }
    case 'swiftshader':
      return await swiftShader(create, options);
    case 'null': {
      const found = await ask(create, [...options, 'backend=null']);
      if (found) return found;
      throw new DeviceError("null: expected Dawn's null backend, got no adapter; reinstall the npm package webgpu");
    }
  }
}

function chosenDriver(asked: string = 'auto'): Driver {
  const driver = checkDriver('driver', asked);
  const environment = process.env.RASTERLINE_DRIVER;
  return driver === 'auto' && environment ? checkDriver('RASTERLINE_DRIVER', environment) : driver;
}

/** What `navigator.gpu` of the runtime itself gives. */
async function ownAdapter(gpu: GPU, driver: 'auto' | 'gpu'): Promise<FoundAdapter> {
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  const found = adapter && describedAdapter(adapter, gpu);
  if (found && (driver === 'auto' || found.kind === 'gpu')) return found;
  throw new DeviceError(
    `adapter: expected ${driver === 'auto' ? 'one' : 'a GPU'} from navigator.gpu of this runtime, got ${found?.description ?? 'null'}; install the Vulkan driver of the GPU, or ${LAVAPIPE_REMEDY}`,
  );
}

/** The bindings are an optional peer, imported only when a device is wanted. Throws DeviceError naming the package. */
async function loadDawn(): Promise<Create> {
  try {
    return (await import('webgpu')).create;
  } catch (error) {
    throw new DeviceError(
      `adapter: expected the npm package webgpu, got ${(error as Error).message}; npm install webgpu (with npx: npx -p rasterline -p webgpu rasterline ...)`,
    );
  }
}

async function best(create: Create, options: readonly string[]): Promise<FoundAdapter> {
  const found = await system(create, options);
  if (found) return found;
  try {
    return await swiftShader(create, options);
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error;
    const lavapipe = (await oldLavapipe()) ?? 'no lavapipe';
    throw new DeviceError(
      `adapter: expected a GPU or a software driver, got none (tried the system's drivers: no GPU, ${lavapipe}; then ${error.message}); install the Vulkan driver of the GPU, or ${LAVAPIPE_REMEDY}`,
    );
  }
}

/** What the system's own drivers give. Without a Vulkan loader Linux has none, and Dawn would only print a warning. */
async function system(create: Create, options: readonly string[]): Promise<FoundAdapter | undefined> {
  if (process.platform === 'linux' && !hasSystemLoader()) return undefined;
  return await ask(create, options);
}

async function swiftShader(create: Create, options: readonly string[]): Promise<FoundAdapter> {
  const { icd, loader } = await unpackSwiftShader();
  if (!hasSystemLoader() && !loadVulkan(loader)) {
    throw new DeviceError(`swiftshader: expected to load ${loader}, but it failed; it needs glibc 2.34 or newer`);
  }
  const found = await ask(create, [...options, ZEROED_BY_LOOPS], { VK_DRIVER_FILES: icd, VK_ICD_FILENAMES: icd });
  if (found?.kind === 'swiftshader') return found;
  throw new DeviceError(
    `swiftshader: expected an adapter from ${icd}, got ${found?.description ?? 'none'}; ${swiftShaderRemedy(icd)}`,
  );
}

/** The driver is chosen by variables of the process, which not every caller can set. */
function swiftShaderRemedy(icd: string): string {
  if ('Bun' in globalThis) return `start Bun with VK_DRIVER_FILES=${icd}: what it sets itself does not reach drivers`;
  return isMainThread
    ? 'remove its folder so that it is unpacked again'
    : 'start the Worker with { env: SHARE_ENV }, since the driver is chosen by variables of the process';
}

/** One instance of Dawn and its adapter, or undefined. The loader reads the variables when the instance is made. */
async function ask(
  create: Create,
  options: readonly string[],
  variables: Readonly<Record<string, string>> = {},
): Promise<FoundAdapter | undefined> {
  return await withEnvironment(variables, async () => {
    let gpu: GPU;
    let adapter: GPUAdapter | null;
    try {
      gpu = create([...options]);
      adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
    } catch {
      return undefined; // Dawn rejects where nothing matches `adapter=`
    }
    if (!adapter) return undefined;
    return describedAdapter(adapter, gpu);
  });
}

function describedAdapter(adapter: GPUAdapter, keepAlive: GPU): FoundAdapter {
  const kind = kindOf(adapter.info);
  return { adapter, kind, description: `${kind}: ${describeAdapter(adapter.info)}`, keepAlive };
}

function kindOf(info: GPUAdapterInfo): AdapterKind {
  if (info.device === 'null-backend') return 'null';
  if (info.architecture === 'swiftshader') return 'swiftshader';
  return info.device.startsWith('llvmpipe') || info.isFallbackAdapter ? 'lavapipe' : 'gpu';
}
