/**
 * Lines in parallel against one line after another, fed the same tokens. They draw in another order, so the logits of the
 * full cache are kept on the GPU, f32 [N, R, V], and those of lines in parallel are compared with them place by place.
 */

import { orAborted } from '../abort.ts';
import { planCache } from '../cache/policy.ts';
import type { ParallelOptions } from '../cache/step-options.ts';
import { divergence } from '../kernels/divergence.ts';
import { keepLogits } from '../kernels/keep-logits.ts';
import type { ImageModel } from '../models/image-model.ts';
import { type Head, openCondition, openRun } from '../open-run.ts';
import { resolveSampling, Sampler } from '../sampler.ts';
import type { Runtime } from '../tensor/runtime.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { ForcedRunOptions } from './forced-run.ts';

/** What the full cache predicts, one line after another. */
export interface Reference {
  /** f32 [N, R, V] */
  readonly logits: Tensor;
  /** Fed, u32 [B, N]. */
  readonly tokens: Tensor;
  [Symbol.dispose](): void;
}

/** Draws the likeliest tokens after the given ones with the full cache, and keeps all logits. The caller disposes of them. */
export async function keepReference<Prompt>(
  model: ImageModel<Prompt>,
  { prompt, guidanceScale, given, signal, onLine }: Omit<ForcedRunOptions<Prompt>, 'cache' | 'temperature'>,
): Promise<Reference> {
  const { runtime, imageTokens } = model;
  const grid = model.grid(prompt);
  const places = grid.lines * grid.lineLength;
  const range = { ...grid, ...imageTokens };
  const sampling = resolveSampling({ guidanceScale, temperature: 0, topK: 0, topP: 1 }, {});
  const condition = openCondition(model, prompt, guidanceScale > 1);
  const { rows, images } = condition;
  const owned: Tensor[] = [];
  try {
    using run = await openRun(model, { condition, grid, plans: [planCache({}, grid)] }, () => {
      const kept = runtime.tensor([places, rows, imageTokens.count], 'f32', 'kept logits');
      owned.push(kept, runtime.tensor([images, places], 'u32', 'tokens of the reference'));
      return new Keeper(Sampler.open(runtime, images, { range, sampling, given }), kept, runtime);
    });
    const { draw } = run.head;
    for (let line = 0; line < grid.lines; line++) {
      await run.drawLine(draw.check);
      await orAborted(draw.settled(), signal);
      onLine();
    }
    const [logits, tokens] = owned as [Tensor, Tensor]; // opened with the run
    tokens.write((await draw.tokens.read()) as Uint32Array<ArrayBuffer>);
    return { logits, tokens, [Symbol.dispose]: () => disposeAll(owned) };
  } catch (error) {
    disposeAll(owned);
    throw error;
  }
}

/** What `divergence` says of every token, f32 [B, N, 4]. */
export async function parallelRun<Prompt>(
  model: ImageModel<Prompt>,
  reference: Reference,
  options: Omit<ForcedRunOptions<Prompt>, 'given'> & { readonly parallel: ParallelOptions },
): Promise<Float32Array> {
  const { runtime, imageTokens } = model;
  const { prompt, cache, parallel, guidanceScale, temperature, signal, onLine } = options;
  const grid = model.grid(prompt);
  const plan = planCache(cache, grid, { parallel });
  const condition = openCondition(model, prompt, guidanceScale > 1);
  using run = await openRun(model, { condition, grid, plans: [plan] }, () =>
    runtime.memory.together(
      () => new Follower(runtime, reference, { first: imageTokens.first, guidanceScale, temperature }),
    ),
  );
  for (let line = 0; line < grid.lines; line++) {
    await run.drawLine();
    await orAborted(runtime.settled(), signal);
    onLine();
  }
  return (await run.head.sums.read()) as Float32Array;
}

/** Draws, and keeps the logits that it drew from. */
class Keeper implements Head<Tensor, void> {
  readonly #calls: Tensor;

  constructor(
    readonly draw: Sampler,
    private readonly kept: Tensor,
    runtime: Runtime,
  ) {
    this.#calls = runtime.tensor([1], 'u32', 'calls');
  }

  get token(): Tensor {
    return this.draw.token;
  }

  next(logits: Tensor): void {
    keepLogits(logits, this.kept, this.#calls);
    this.draw.next(logits);
  }

  dispose(): void {
    this.draw.dispose();
    this.#calls.dispose();
  }
}

/** Draws nothing: all tokens are there, and what it would draw from is compared with the reference. */
class Follower implements Head<Tensor, void> {
  readonly token: Tensor;
  readonly sums: Tensor;
  readonly #calls: Tensor;

  constructor(
    runtime: Runtime,
    private readonly reference: Reference,
    private readonly options: {
      readonly first: number;
      readonly guidanceScale: number;
      readonly temperature: number;
    },
  ) {
    const [images = 0, places = 0] = reference.tokens.shape;
    this.token = runtime.tensor([images], 'u32', 'first places'); // of the prefill: 0
    this.sums = runtime.tensor([images, places, 4], 'f32', 'sums');
    this.#calls = runtime.tensor([images], 'u32', 'calls');
  }

  get tokens(): Tensor {
    return this.reference.tokens;
  }

  next(other: Tensor, places: Tensor = this.token): void {
    divergence({
      ...{ reference: this.reference.logits, other, token: this.tokens, sums: this.sums, calls: this.#calls },
      ...{ kept: places, ...this.options },
    });
  }

  dispose(): void {
    this.token.dispose();
    this.sums.dispose();
    this.#calls.dispose();
  }
}

function disposeAll(tensors: readonly Tensor[]): void {
  for (const tensor of tensors) tensor.dispose();
}
