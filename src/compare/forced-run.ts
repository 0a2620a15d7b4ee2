/** The full cache and a setting side by side, fed the same tokens. */

import { orAborted } from '../abort.ts';
import { type CacheOptions, planCache } from '../cache/policy.ts';
import { divergence } from '../kernels/divergence.ts';
import type { DrawRange } from '../kernels/sample.ts';
import type { ImageModel } from '../models/image-model.ts';
import { type Head, openCondition, openRun } from '../open-run.ts';
import { type GivenTokens, resolveSampling, Sampler } from '../sampler.ts';
import type { Runtime } from '../tensor/runtime.ts';
import type { Tensor } from '../tensor/tensor.ts';

export interface ForcedRunOptions<Prompt> {
  readonly prompt: Prompt;
  readonly cache: CacheOptions;
  readonly guidanceScale: number;
  readonly temperature: number;
  /** The first tokens to feed; the rest are the full cache's likeliest. */
  readonly given: readonly GivenTokens[];
  readonly signal: AbortSignal | undefined;
  /** At the end of every line. */
  readonly onLine: () => void;
}

/** What `divergence` says of every token, f32 [B, N, 4]. */
export async function forcedRun<Prompt>(
  model: ImageModel<Prompt>,
  options: ForcedRunOptions<Prompt>,
): Promise<Float32Array> {
  const { runtime, imageTokens } = model;
  const { prompt, cache, guidanceScale, signal, onLine } = options;
  const grid = model.grid(prompt);
  const condition = openCondition(model, prompt, guidanceScale > 1);
  const plans = [planCache({}, grid), planCache(cache, grid)] as const;
  const judging = { ...options, range: { ...grid, ...imageTokens } };
  using run = await openRun(model, { condition, grid, plans }, (images) =>
    runtime.memory.together(() => new Judge(runtime, images, judging)),
  );
  const { draw, sums } = run.head;
  for (let line = 0; line < grid.lines; line++) {
    await run.drawLine(draw.check);
    await orAborted(draw.settled(), signal);
    onLine();
  }
  return (await sums.read()) as Float32Array;
}

interface JudgeOptions {
  readonly range: DrawRange;
  readonly given: readonly GivenTokens[];
  readonly guidanceScale: number;
  readonly temperature: number;
}

/** Feeds what the reference finds likeliest, and measures how far the other is from it. */
class Judge implements Head<Tensor, void> {
  readonly draw: Sampler;
  readonly sums: Tensor;
  readonly #calls: Tensor;

  constructor(
    runtime: Runtime,
    images: number,
    private readonly options: JudgeOptions,
  ) {
    const { range, given, guidanceScale } = options;
    const sampling = resolveSampling({ guidanceScale, temperature: 0, topK: 0, topP: 1 }, {});
    this.draw = Sampler.open(runtime, images, { range, sampling, given });
    this.sums = runtime.tensor([images, range.lines * range.lineLength, 4], 'f32', 'sums');
    this.#calls = runtime.tensor([images], 'u32', 'calls');
  }

  get token(): Tensor {
    return this.draw.token;
  }

  next(reference: Tensor, _: Tensor | undefined, other: Tensor): void {
    const { range, guidanceScale, temperature } = this.options;
    this.draw.next(reference);
    divergence({
      ...{ reference, other, token: this.token, first: range.first, sums: this.sums, calls: this.#calls },
      ...{ guidanceScale, temperature },
    });
  }

  dispose(): void {
    this.draw.dispose();
    this.sums.dispose();
    this.#calls.dispose();
  }
}
