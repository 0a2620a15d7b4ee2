/** A worker's line to the thread that made it. */

import { parentPort } from 'node:worker_threads';
import type { Endpoint } from 'comlink/dist/esm/comlink.mjs';
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs';

/** To whoever made this worker; undefined in the main thread. */
export function ownEndpoint(): Endpoint | undefined {
  return parentPort ? nodeEndpoint(parentPort) : undefined;
}
