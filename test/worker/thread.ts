/** The worker's whole file. */

import { serveWorker } from '../../src/worker.ts';

serveWorker();
