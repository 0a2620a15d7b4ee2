/** What stands before the first token: the prompt on the GPU, the store, and the two programs that draw. */

import { KvStore } from './cache/kv-store.ts';
import type { CachePlan } from './cache/policy.ts';
import type { Condition, Geometry, ImageModel, LineGrid, Memory } from './models/image-model.ts';
import type { Dtype } from './tensor/dtype.ts';
import { OptionError } from './tensor/errors.ts';
import type { Program } from './tensor/program.ts';
import type { ReadBack } from './tensor/read-back.ts';
import type { Runtime } from './tensor/runtime.ts';
import type { Tensor } from './tensor/tensor.ts';

/** Of an `ImageModel`, what a run needs; `Logits` is a tensor, or whatever a test looks into. */
export interface RunModel<Logits> {
  readonly runtime: Runtime;
  readonly geometry: Geometry;
  readonly kvDtype: Dtype;
  embed(tokens: Tensor, rows: number): Tensor;
  logits(x: Tensor, memory: Memory, tokens: number): Logits;
}

export interface RunOptions {
  /** From `openCondition`; the run's from here on. */
  readonly condition: Condition;
  readonly grid: LineGrid;
  readonly plan: CachePlan;
}

/** What becomes of the logits: `next` records it, and leaves in `token` what is fed next; u32 [B]. */
export interface Head<Logits, Result> {
  readonly token: Tensor;
  next(logits: Logits): Result;
  dispose(): void;
}

/**
 * Puts a prompt on the GPU. Throws OptionError, and keeps nothing, for one that the model does not take, and for more
 * images than a dispatch has rows.
 */
export function openCondition<Prompt>(
  model: Pick<ImageModel<Prompt>, 'runtime' | 'condition'>,
  prompt: Prompt,
  guided: boolean,
): Condition {
  const { runtime } = model;
  const condition = runtime.memory.together(() => model.condition(prompt, guided));
  const { rows, images } = condition;
  // kernels give a row of the batch a workgroup of its own
  const most = runtime.device.limits.maxComputeWorkgroupsPerDimension;
  if (rows <= most) return condition;
  condition.dispose();
  throw new OptionError(
    `prompt: expected at most ${Math.floor((most * images) / rows)} images at once, got ${images}; draw them in several runs`,
  );
}

/**
 * Checks everything, then records, then takes the memory: after this nothing is made any more.
 *
 * Throws DeviceError, and keeps nothing, where limits or memory do not hold the run.
 */
export async function openRun<Logits, Drawing extends Head<Logits, unknown>>(
  model: RunModel<Logits>,
  { condition, grid, plan }: RunOptions,
  openHead: (images: number) => Drawing,
): Promise<Run<Drawing, ReturnType<Drawing['next']>>> {
  const { runtime, geometry, kvDtype: dtype } = model;
  const owned: { dispose(): void }[] = [condition];
  const own = <T extends { dispose(): void }>(thing: T): T => {
    owned.unshift(thing);
    return thing;
  };
  try {
    const { rows, images, promptLength } = condition;
    const head = own(openHead(images));
    const shape = { ...geometry, ...grid, ...condition, condition: promptLength, dtype };
    const store = own(await KvStore.prepare(runtime, shape, plan));
    const next = (logits: Logits) => head.next(logits) as ReturnType<Drawing['next']>;
    const { prefill, step } = await runtime.recordAll({
      prefill: () => next(model.logits(condition.embeddings(), store.prefill, promptLength)),
      step: () => next(model.logits(model.embed(head.token, rows), store.decode, 1)),
    });
    own(prefill);
    own(step);
    await store.recordLineEnd();
    return new Run({ runtime, grid, condition, head, store, prefill, step, owned });
  } catch (error) {
    for (const thing of owned) thing.dispose();
    throw error;
  }
}

interface RunParts<Drawing, Result> {
  readonly runtime: Runtime;
  readonly grid: LineGrid;
  readonly condition: Condition;
  readonly head: Drawing;
  readonly store: KvStore;
  readonly prefill: Program<Result>;
  readonly step: Program<Result>;
  readonly owned: readonly { dispose(): void }[];
}

/** Feeds tokens and draws the next ones. The one place that counts them. */
export class Run<Drawing = unknown, Result = unknown> {
  /** Tokens drawn of each image; the last of them is not fed yet. */
  drawn = 0;

  constructor(private readonly parts: RunParts<Drawing, Result>) {}

  get head(): Drawing {
    return this.parts.head;
  }
  get condition(): Condition {
    return this.parts.condition;
  }
  get store(): KvStore {
    return this.parts.store;
  }
  get prefill(): Program<Result> {
    return this.parts.prefill;
  }
  get step(): Program<Result> {
    return this.parts.step;
  }

  /** Draws one token of each image: one submit. Returns the program that did, and fills `copies` after it. */
  draw(...copies: readonly ReadBack[]): Program<Result> {
    const { runtime, store, prefill, step } = this.parts;
    if (this.drawn === 0) runtime.runAndCopy([prefill], copies);
    else runtime.runAndCopy([step, ...store.place(this.drawn - 1)], copies);
    return this.drawn++ === 0 ? prefill : step;
  }

  /** Draws the tokens of one line more, and fills `copies` after the last. */
  drawLine(...copies: readonly ReadBack[]): void {
    for (let left = this.parts.grid.lineLength; left > 1; left--) this.draw();
    this.draw(...copies);
  }

  dispose(): void {
    for (const thing of this.parts.owned) thing.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
