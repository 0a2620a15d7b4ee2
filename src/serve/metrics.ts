/** What Prometheus is told, by the optional package `prom-client`. */

import { OptionError } from '../tensor/errors.ts';
import type { Runtime } from '../tensor/runtime.ts';
import type { DrawingLoop, RunReport } from './drawing-loop.ts';

export interface Metrics {
  readonly contentType: string;
  text(): Promise<string>;
  answered(request: { readonly route: string; readonly status: number; readonly seconds: number }): void;
  firstPreview(seconds: number): void;
  ran(run: RunReport): void;
}

/** Throws OptionError where the package is not installed. */
export async function openMetrics(loop: () => DrawingLoop): Promise<Metrics> {
  const { Counter, Gauge, Histogram, Registry } = await import('prom-client').catch((cause: unknown) => {
    throw new OptionError('serve: expected the package prom-client, got none; npm install prom-client', { cause });
  });
  const registers = [new Registry()];
  const [registry] = registers as [InstanceType<typeof Registry>];
  const gauge = (name: string, help: string, read: (runtime: Runtime) => number) =>
    new Gauge({
      name: `rasterline_${name}`,
      help,
      registers,
      collect() {
        this.set(read(loop().model.runtime));
      },
    });
  const buckets = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300];
  gauge('queue_images', 'Images that wait', () => loop().queue.length);
  gauge('live_bytes', 'Bytes of all buffers on the device', (runtime) => runtime.liveBytes);
  const kvBytes = new Gauge({
    name: 'rasterline_kv_bytes',
    help: 'Bytes of keys and values of the last run',
    registers,
  });
  const rate = new Gauge({ name: 'rasterline_tokens_per_second', help: 'Of the last run, all images', registers });
  const tokens = new Counter({ name: 'rasterline_tokens_total', help: 'Tokens drawn', registers });
  const images = new Counter({ name: 'rasterline_images_total', help: 'Images drawn', registers });
  const runs = new Counter({ name: 'rasterline_runs_total', help: 'Runs', labelNames: ['outcome'], registers });
  const runImages = new Histogram({
    ...{ name: 'rasterline_run_images', help: 'Images of a run', buckets: [1, 2, 4, 8, 16, 32, 64], registers },
  });
  const latency = new Histogram({
    ...{ name: 'rasterline_request_seconds', help: 'From request to answer', labelNames: ['route', 'status'] },
    ...{ buckets, registers },
  });
  const preview = new Histogram({
    ...{
      name: 'rasterline_first_preview_seconds',
      help: 'From request to the first picture on the way',
      buckets,
      registers,
    },
  });
  return {
    contentType: registry.contentType,
    text: () => registry.metrics(),
    answered: ({ route, status, seconds }) => latency.observe({ route, status }, seconds),
    firstPreview: (seconds) => preview.observe(seconds),
    ran: (run) => {
      runs.inc({ outcome: run.outcome });
      runImages.observe(run.images);
      if (run.outcome !== 'done') return;
      kvBytes.set(run.kvBytes);
      tokens.inc(run.tokens);
      images.inc(run.images);
      rate.set((1000 * run.tokens) / run.elapsedMs);
    },
  };
}
