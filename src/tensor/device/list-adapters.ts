import { listAdapters as list } from '#device';
import type { ListedAdapter } from './adapter.ts';

/** Every driver of this machine or browser, and whether it works or why not; `Runtime.open` takes the first that works. */
export function listAdapters(): Promise<readonly ListedAdapter[]> {
  return list();
}
