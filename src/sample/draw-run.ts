/** A run of samples, as the PNG files that they become. */

import type { CacheOptions } from '../cache/policy.ts';
import type { LineProgress } from '../generate.ts';
import type { ImageModel } from '../models/image-model.ts';
import { encodePng } from '../png.ts';
import { recipeFor } from '../recipe-for.ts';
import { generateAndRecover } from '../recover.ts';
import { withWhatFits } from '../runs.ts';
import type { SamplingOptions } from '../sampler.ts';
import type { DeviceError } from '../tensor/errors.ts';

/** A model that can be opened again. */
interface Opened<Prompt> {
  readonly model: ImageModel<Prompt>;
  reload(lost: DeviceError): Promise<ImageModel<Prompt>>;
}

export interface SampleRun<Prompt> {
  /** One entry an image. */
  readonly prompt: Prompt;
  readonly identities: readonly number[];
  readonly sampling: SamplingOptions;
  readonly cache: CacheOptions;
  readonly signal: AbortSignal;
  readonly onLine?: (progress: LineProgress) => void;
}

/** Every PNG holds its recipe. Throws as `generateAndRecover`; where memory is refused, with what would have fit. */
export async function drawRun<Prompt>(
  opened: Opened<Prompt>,
  { identities, sampling, signal, onLine, ...run }: SampleRun<Prompt>,
): Promise<Uint8Array[]> {
  const options = { ...run, ...sampling, firstImage: identities };
  const reload = opened.reload.bind(opened);
  const drawn = await generateAndRecover(opened.model, {
    ...{ ...options, signal, reload },
    ...(onLine && { onLine }),
  }).catch(async (error) => Promise.reject(await withWhatFits(error, opened.model, identities.length, options)));
  return drawn.map((image, i) => encodePng(image, recipeFor(opened.model, options, i)));
}
