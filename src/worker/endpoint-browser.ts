/** A worker's line to its page. */

import type { Endpoint } from 'comlink/dist/esm/comlink.mjs';

/** To whoever made this worker; undefined in a page. */
export function ownEndpoint(): Endpoint | undefined {
  return globalThis.document === undefined ? (globalThis as unknown as Endpoint) : undefined;
}
