/** What stands before the first token: the prompt on the GPU, what remembers, and the two programs that draw. */

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
  /** One of each store. The model runs once for each, and all are fed the same tokens. */
  readonly plans: readonly [CachePlan, ...CachePlan[]];
}

/** What becomes of the logits of each store: `next` records it, and leaves in `token` what is fed next; u32 [B]. */
export interface Head<Logits, Result> {
  readonly token: Tensor;
  next(...logits: readonly Logits[]): Result;
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
  { condition, grid, plans }: RunOptions,
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
    const stores: KvStore[] = [];
    for (const plan of plans) stores.push(own(await KvStore.prepare(runtime, shape, plan)));
    const next = (x: Tensor, phase: 'prefill' | 'decode', tokens: number) =>
      head.next(...stores.map((store) => model.logits(x, store[phase], tokens))) as ReturnType<Drawing['next']>;
    const { prefill, step } = await runtime.recordAll({
      prefill: () => next(condition.embeddings(), 'prefill', promptLength),
      step: () => next(model.embed(head.token, rows), 'decode', 1),
    });
    own(prefill);
    own(step);
    for (const store of stores) await store.recordLineEnd();
    return new Run({ runtime, grid, condition, head, stores, prefill, step, owned });
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
  readonly stores: readonly KvStore[];
  readonly prefill: Program<Result>;
  readonly step: Program<Result>;
  readonly owned: readonly { dispose(): void }[];
}

/** Feeds tokens and draws the next ones. */
export class Run<Drawing = unknown, Result = unknown> {
  #isFilled = false;

  constructor(private readonly parts: RunParts<Drawing, Result>) {}

  /** Tokens drawn of each image; the last of them is not fed yet. */
  get drawn(): number {
    return this.#isFilled ? this.store.table.placed + 1 : 0;
  }
  get head(): Drawing {
    return this.parts.head;
  }
  get condition(): Condition {
    return this.parts.condition;
  }
  get stores(): readonly KvStore[] {
    return this.parts.stores;
  }
  /** The first of them. */
  get store(): KvStore {
    return this.parts.stores[0]!; // there is at least one plan
  }
  get prefill(): Program<Result> {
    return this.parts.prefill;
  }
  get step(): Program<Result> {
    return this.parts.step;
  }

  /** Draws one token of each image: one submit. Returns the program that did, and fills `copies` after it. */
  draw(...copies: readonly ReadBack[]): Program<Result> {
    const { program, ends } = this.#advance();
    this.parts.runtime.runAndCopy([program, ...ends], copies);
    return program;
  }

  /** The same without the end of a line, which is given to be run next: for who takes its time apart. */
  drawBeforeEnd(): readonly Program[] {
    const { program, ends } = this.#advance();
    this.parts.runtime.run(program);
    return ends;
  }

  #advance(): { readonly program: Program<Result>; readonly ends: readonly Program[] } {
    const { stores, prefill, step } = this.parts;
    const ends = this.#isFilled ? stores.flatMap((store) => store.advance()) : [];
    const program = this.#isFilled ? step : prefill;
    this.#isFilled = true;
    return { program, ends };
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
