/** The worker's whole file. */

import { serveWorker } from 'rasterline/worker';

serveWorker();
