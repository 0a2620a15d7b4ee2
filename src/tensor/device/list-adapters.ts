import { listAdapters as list } from '#device';
import type { ListedAdapter } from './adapter.ts';

/**
 * Every driver of this machine or browser, and whether it works or why not; `Runtime.open` takes the first that works.
 *
 * @example
 * for (const { kind, state } of await listAdapters()) console.log(kind, state); // gpu usable
 */
export function listAdapters(): Promise<readonly ListedAdapter[]> {
  return list();
}
