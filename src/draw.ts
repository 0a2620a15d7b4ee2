/** A run as a stream of events: `generate` for whoever would rather loop than be called. */

import { GENERATE_OPTIONS, type GenerateOptions, generate, type LineProgress } from './generate.ts';
import type { GeneratedImage } from './generated-image.ts';
import type { ImageModel } from './models/image-model.ts';
import { checkOptions } from './tensor/options.ts';

/** A line is complete, or all are. */
export type DrawEvent =
  | ({ readonly kind: 'line' } & LineProgress)
  | { readonly kind: 'images'; readonly images: readonly GeneratedImage[] };

/**
 * Draws as `generate` does, and gives an event for every line and one with the images. The run waits while an event is looked
 * at; leaving the loop ends it and frees everything. Throws what `generate` throws.
 *
 * @example
 * for await (const event of draw(model, { prompt: { classes: [187] }, cache: { budgetLines: 4 } })) {
 *   if (event.kind === 'line') console.log(`line ${event.line} of ${event.lines}`);
 *   else console.log(event.images.length);
 * }
 */
export function draw<Prompt>(
  model: ImageModel<Prompt>,
  given: GenerateOptions<Prompt>,
): AsyncGenerator<DrawEvent, void, undefined> {
  return eventsOf(given, (options) => generate(model, options));
}

/** The events of a run that calls `onLine` and ends with its signal. */
export async function* eventsOf<Prompt>(
  given: GenerateOptions<Prompt>,
  begin: (options: GenerateOptions<Prompt>) => Promise<readonly GeneratedImage[]>,
): AsyncGenerator<DrawEvent, void, undefined> {
  const options = checkOptions(GENERATE_OPTIONS, given) as GenerateOptions<Prompt>;
  const leaving = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, leaving.signal]) : leaving.signal;
  const mailbox = new Mailbox();
  const run = begin({
    ...options,
    signal,
    onLine: async (progress) => {
      await options.onLine?.(progress);
      await mailbox.put({ kind: 'line', ...progress });
    },
  });
  const images = run.then((images): DrawEvent => ({ kind: 'images', images }));
  try {
    for (;;) {
      const event = await Promise.race([mailbox.take(), images]);
      yield event;
      if (event.kind === 'images') return;
    }
  } finally {
    leaving.abort(new Error('the loop was left'));
    await run.catch(() => undefined); // what it had to say has been thrown, or nobody listens any more
  }
}

/** One event at a time: who puts one waits until the next is asked for. */
class Mailbox {
  #taken = () => {};
  #deliver: (event: DrawEvent) => void = () => {};
  #next = this.#awaited();

  put(event: DrawEvent): Promise<void> {
    const taken = new Promise<void>((resolve) => {
      this.#taken = resolve;
    });
    this.#deliver(event);
    return taken;
  }

  /** The event that comes next. The one before it has been looked at. */
  async take(): Promise<DrawEvent> {
    this.#taken();
    const event = await this.#next;
    this.#next = this.#awaited();
    return event;
  }

  #awaited(): Promise<DrawEvent> {
    return new Promise((resolve) => {
      this.#deliver = resolve;
    });
  }
}
