/**
 * Going on with a run whose device was lost: a layer around `generate`, which knows nothing of it.
 *
 * The tokens of finished lines are kept on the CPU, one small read-back a line. They are fed again on the new device, with
 * the same eviction, so the cache is the same, and so are the tokens after them.
 */

import { generate } from './generate.ts';
import { GENERATE_OPTIONS, type GenerateOptions, type LineProgress } from './generate-options.ts';
import type { GeneratedImage } from './generated-image.ts';
import type { ImageModel } from './models/image-model.ts';
import type { GivenTokens } from './sampler.ts';
import { callback, required } from './tensor/checks.ts';
import { DecodeError, DeviceError } from './tensor/errors.ts';
import { checkOptions, type OptionTable } from './tensor/options.ts';

/** What `generate` takes, and where another device comes from. */
export interface RecoverOptions<Prompt> extends GenerateOptions<Prompt> {
  /**
   * Opens a new runtime and loads the model again; what it opens is its own to dispose of, as is what was lost. The
   * images equal those of an undisturbed run where the new device is of the same driver.
   */
  readonly reload: (lost: DeviceError) => Promise<ImageModel<Prompt>>;
}

export const RECOVER_OPTIONS: OptionTable<RecoverOptions<object>> = {
  place: 'generateAndRecover',
  options: { ...GENERATE_OPTIONS.options, reload: required(callback()) },
};

/** Devices lost one after the other without a line drawn between: this one will not do. */
const MOST_LOSSES = 3;

/**
 * Draws as `generate` does, and goes on with another device where one is lost on the way. It costs the time to load and to
 * feed the known tokens once. `onLine` hears of every line once, and its `tokens` reads nothing.
 *
 * Throws as `generate` does for everything else, memory that is refused included; what `reload` throws; and the last
 * DeviceError when three devices were lost at the same line.
 *
 * @example
 * const images = await generateAndRecover(model, {
 *   prompt: { classes: [187] },
 *   reload: async () => await loadModel(await Runtime.open(), 'emoji'),
 * });
 */
export async function generateAndRecover<Prompt>(
  model: ImageModel<Prompt>,
  given: RecoverOptions<Prompt>,
): Promise<GeneratedImage[]> {
  const { reload, ...options } = checkOptions(RECOVER_OPTIONS, given) as RecoverOptions<Prompt>;
  const lineLength = () => model.grid(options.prompt).lineLength;
  let current = model;
  let known: readonly GivenTokens[] = options.tokens ?? [];
  let told = 0;
  let losses = 0;
  const onLine = async (progress: LineProgress) => {
    const { line } = progress;
    const length = line * lineLength();
    if ((known[0]?.length ?? 0) < length) {
      known = await progress.tokens();
      losses = 0;
    }
    if (line <= told) return;
    const tokens = async () => known.map((image) => Uint32Array.from(image).slice(0, length));
    await options.onLine?.({ ...progress, tokens });
    told = line;
  };
  for (;;) {
    try {
      return await generate(current, { ...options, tokens: known, onLine });
    } catch (error) {
      if (!(error instanceof DeviceError && current.runtime.faults.isLost) || ++losses === MOST_LOSSES) throw error;
      if (error instanceof DecodeError) known = error.tokens;
      current = await reload(error);
    }
  }
}
