import { serveWorker } from 'rasterline/worker';

serveWorker();
