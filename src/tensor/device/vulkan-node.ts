/** The Vulkan loader, as a process without a set-up of its own meets it. */

import { readdir, readFile } from 'node:fs/promises';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';

/** Keeps the library mapped although Node closes it again; the same number in glibc and musl. */
const RTLD_NODELETE = 0x1000;
/** Where distributions put the manifests of their drivers. */
const MANIFESTS = ['/usr/share/vulkan/icd.d', '/usr/local/share/vulkan/icd.d', '/etc/vulkan/icd.d'];

let systemLoader: boolean | undefined;

/** True where the system has a Vulkan loader of its own; asked once, since a loader mapped later answers to the same name. */
export function hasSystemLoader(): boolean {
  systemLoader ??= loadVulkan('libvulkan.so.1');
  return systemLoader;
}

/**
 * Maps a Vulkan loader into the process, by path or by the name that the system finds it under, so that Dawn's own
 * search for `libvulkan.so.1` meets it. False if there is none.
 */
export function loadVulkan(library: string): boolean {
  try {
    process.dlopen({ exports: {} }, library, constants.dlopen.RTLD_NOW | RTLD_NODELETE);
    return true;
  } catch (error) {
    // it was mapped, and then found to be no module of Node's: that is all we want. Node and Bun say so in different words;
    // Deno refuses a bare name before it looks, and then Dawn's own search decides
    return !(error as Error).message.includes('cannot open shared object');
  }
}

/** Sets variables of the process while `work` runs, then puts them back as they were. */
export async function withEnvironment<T>(
  variables: Readonly<Record<string, string>>,
  work: () => Promise<T>,
): Promise<T> {
  // drivers complain on stderr where XDG_RUNTIME_DIR is unset; its value does not matter to us
  const wanted: Readonly<Record<string, string>> = {
    XDG_RUNTIME_DIR: process.env.XDG_RUNTIME_DIR ?? tmpdir(),
    ...variables,
  };
  const before = Object.keys(wanted).map((name) => [name, process.env[name]] as const);
  Object.assign(process.env, wanted);
  try {
    return await work();
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}

/** A lavapipe that is installed, in words for an error about why it was not taken; undefined if there is none. */
export async function oldLavapipe(): Promise<string | undefined> {
  for (const folder of MANIFESTS) {
    const names = await readdir(folder).catch(() => []);
    const name = names.find((file) => file.startsWith('lvp_') && file.endsWith('.json'));
    if (name === undefined) continue;
    const path = join(folder, name);
    const version = /"api_version"\s*:\s*"([\d.]+)"/.exec(await readFile(path, 'utf8').catch(() => ''))?.[1];
    return `one that gives no adapter (${path}, Vulkan ${version ?? 'of unknown version'}; Mesa 22 is too old, or VK_DRIVER_FILES hides it)`;
  }
  return undefined;
}
