/**
 * The one loop that draws: what waits is gathered into runs, one after the other.
 *
 * An image does not depend on what else is in its run, so a client gets what `generate` draws for it alone. All images of a
 * run end together: rows of clients that have gone are free at the next run, and a run whose clients have all gone is
 * aborted at once.
 */

import type { LineProgress } from '../generate.ts';
import type { ImageModel } from '../models/image-model.ts';
import { joined } from '../prompt-list.ts';
import { generateAndRecover } from '../recover.ts';
import type { DeviceError } from '../tensor/errors.ts';
import { type ImageJob, ImageQueue } from './image-queue.ts';

export interface LoopOptions {
  /** Most images of a run. */
  readonly atOnce: number;
  /** Most images that wait. */
  readonly queueImages: number;
  /** Waited for company before a run, anew whenever some comes. */
  readonly gatherMs: number;
  /** Absent: a lost device ends every run from then on. */
  readonly reload?: ((lost: DeviceError) => Promise<ImageModel<object>>) | undefined;
  readonly onRun?: (run: RunReport) => void;
}

/** A run that has ended. */
export interface RunReport {
  readonly images: number;
  readonly outcome: 'done' | 'failed' | 'aborted';
  readonly elapsedMs: number;
  readonly tokens: number;
  readonly kvBytes: number;
}

export class DrawingLoop {
  readonly queue: ImageQueue;
  #drawing: Promise<void> | undefined;
  #lastRunMs = 0;
  #isEnding = false;
  #stopWaiting = () => {};

  constructor(
    public model: ImageModel<object>,
    private readonly options: LoopOptions,
  ) {
    this.queue = new ImageQueue(options.queueImages);
  }

  /** False, and nothing is done, where the queue has no room. */
  add(jobs: readonly ImageJob[]): boolean {
    if (!this.queue.add(jobs)) return false;
    if (this.queue.length >= this.options.atOnce) this.#stopWaiting();
    this.#start();
    return true;
  }

  #start(): void {
    this.#drawing ??= this.#drawAll().finally(() => {
      this.#drawing = undefined;
      if (this.queue.length > 0) this.#start(); // of what came while it ended
    });
  }

  /** Waits until nothing is waiting or drawn any more; from now on nobody comes. */
  async drained(): Promise<void> {
    this.#isEnding = true;
    this.#stopWaiting();
    while (this.#drawing) await this.#drawing;
  }

  /** When there may be room again: after the next run. */
  get retryAfterSeconds(): number {
    return Math.max(1, Math.ceil(this.#lastRunMs / 1000));
  }

  async #drawAll(): Promise<void> {
    do {
      await this.#gather();
      const jobs = this.queue.take(this.options.atOnce);
      if (jobs.length > 0) await this.#draw(jobs);
    } while (this.queue.length > 0);
  }

  /** Until a run is full, or nobody has come for a while: clients that were answered together come again together. */
  async #gather(): Promise<void> {
    const { atOnce, gatherMs } = this.options;
    for (let waiting = -1; waiting < this.queue.length && this.queue.length < atOnce && !this.#isEnding; ) {
      waiting = this.queue.length;
      await new Promise<void>((over) => {
        const timer = setTimeout(over, gatherMs);
        this.#stopWaiting = () => {
          clearTimeout(timer);
          over();
        };
      });
    }
  }

  async #draw(jobs: readonly ImageJob[]): Promise<void> {
    const { reload = async (lost) => Promise.reject(lost), onRun } = this.options;
    const start = performance.now();
    const report = { images: jobs.length, tokens: 0, kvBytes: 0 };
    const present = () => jobs.filter(({ signal }) => !signal.aborted);
    const allGone = new AbortController();
    const gone = () => {
      if (present().length === 0) allGone.abort(new Error('every client has gone'));
    };
    for (const { signal } of jobs) signal.addEventListener('abort', gone);
    const onLine = async ({ line, kvBytes, preview }: LineProgress) => {
      report.kvBytes = kvBytes;
      const watched = jobs.flatMap(({ previewLines, signal }, i) =>
        previewLines.has(line) && !signal.aborted ? [i] : [],
      );
      if (watched.length === 0) return;
      for (const [k, image] of (await preview(watched)).entries()) jobs[watched[k]!]!.onPreview(image, line);
    };
    const end = (outcome: RunReport['outcome']) => {
      this.#lastRunMs = performance.now() - start;
      onRun?.({ ...report, outcome, elapsedMs: this.#lastRunMs });
    };
    try {
      const images = await generateAndRecover(this.model, {
        ...jobs[0]!.settings, // the same of all
        prompt: joined(jobs.map(({ prompt }) => prompt)),
        seed: jobs.map(({ seed }) => seed),
        firstImage: jobs.map(({ identity }) => identity),
        signal: allGone.signal,
        onLine,
        reload: async (lost) => {
          this.model = await reload(lost);
          return this.model;
        },
      });
      report.tokens = images.reduce((sum, { tokens }) => sum + tokens.length, 0);
      end('done');
      for (const [i, job] of jobs.entries()) if (!job.signal.aborted) job.onEnd({ image: images[i]! });
    } catch (error) {
      end(allGone.signal.aborted ? 'aborted' : 'failed');
      for (const job of present()) job.onEnd({ error });
    } finally {
      for (const { signal } of jobs) signal.removeEventListener('abort', gone);
    }
  }
}
