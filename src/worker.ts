/** `rasterline/worker`: the library in a worker, used from the page as in the page. */

export {
  connectWorker,
  type WorkerCanvas,
  type WorkerGenerateOptions,
  WorkerModel,
  WorkerRuntime,
} from './worker/connect.ts';
export type { WorkerLike } from './worker/line.ts';
export type { RuntimeStatus } from './worker/protocol.ts';
export { serveWorker } from './worker/serve.ts';
