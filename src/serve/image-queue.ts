/** Images that wait to be drawn: a bounded queue, from which those that may share a run are taken together. */

import type { GenerateOptions } from '../generate-options.ts';
import type { GeneratedImage } from '../generated-image.ts';

/** One image that a client waits for. */
export interface ImageJob {
  /** What it may share with others of a run: sampling, cache, and the size. Jobs of one `kind` have the same. */
  readonly kind: string;
  readonly settings: Omit<GenerateOptions<object>, 'prompt' | 'seed' | 'firstImage' | 'onLine' | 'signal' | 'tokens'>;
  /** A prompt of one image. */
  readonly prompt: object;
  readonly seed: number;
  /** Identity of the image, as `firstImage`. */
  readonly identity: number;
  /** Lines after which the client wants to see it. */
  readonly previewLines: ReadonlySet<number>;
  /** The client has gone, or waits no more. */
  readonly signal: AbortSignal;
  onPreview(image: GeneratedImage, line: number): void;
  /** Called once, with the image or what went wrong; never after `signal` aborted. */
  onEnd(result: { readonly image: GeneratedImage } | { readonly error: unknown }): void;
}

export class ImageQueue {
  #waiting: ImageJob[] = [];

  constructor(private readonly mostImages: number) {}

  /** Images waiting; those whose clients have gone do not count. */
  get length(): number {
    this.#waiting = this.#waiting.filter(({ signal }) => !signal.aborted);
    return this.#waiting.length;
  }

  /** All or none: false where there is no room. */
  add(jobs: readonly ImageJob[]): boolean {
    if (this.length + jobs.length > this.mostImages) return false;
    this.#waiting.push(...jobs);
    return true;
  }

  /** The one that waits longest, and at most so many in all that may share its run, in order. */
  take(most: number): readonly ImageJob[] {
    if (this.length === 0) return [];
    const [{ kind }] = this.#waiting as [ImageJob];
    const taken = new Set(this.#waiting.filter((job) => job.kind === kind).slice(0, most));
    this.#waiting = this.#waiting.filter((job) => !taken.has(job));
    return [...taken];
  }
}
