/** What stands before the first token: the prompt on the GPU, what remembers, and the programs that draw. */

import { KvStore } from './cache/kv-store.ts';
import type { CachePlan } from './cache/policy.ts';
import { feed } from './kernels/feed.ts';
import type { Condition, Geometry, ImageModel, LineGrid, Memory } from './models/image-model.ts';
import { assert, OptionError } from './tensor/errors.ts';
import type { Program } from './tensor/program.ts';
import { ReadBack } from './tensor/read-back.ts';
import type { Runtime } from './tensor/runtime.ts';
import type { Tensor } from './tensor/tensor.ts';

/** Of an `ImageModel`, what a run needs; `Logits` is a tensor, or whatever a test looks into. */
export interface RunModel<Logits> {
  readonly runtime: Runtime;
  readonly geometry: Geometry;
  readonly kvDtype: ImageModel<never>['kvDtype'];
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

/**
 * What becomes of the logits of each store: `next` records it. It leaves what is fed next in `token`, u32 [B]; where a step
 * feeds several tokens of an image, in `tokens`, u32 [B, N], at `places`, u32 [B · lanes].
 */
export interface Head<Logits, Result> {
  readonly token: Tensor;
  /** For steps of several tokens. */
  readonly tokens?: Tensor;
  /** For drafts: how many tokens of each image are drawn, u32 [B], and what counts those that were right. */
  readonly drawn?: Tensor;
  accept?(fed: Tensor, step: Tensor): void;
  next(logits: Logits, places?: Tensor, ...others: readonly Logits[]): Result;
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
    const [plan, ...otherPlans] = plans;
    const drawn = plan.speculated > 1 ? head.drawn : undefined;
    const open = async (plan: CachePlan) => own(await KvStore.prepare(runtime, shape, plan, drawn));
    const store = await open(plan);
    const others: KvStore[] = [];
    for (const other of otherPlans) others.push(await open(other));
    const next = (x: Tensor, phase: 'prefill' | 'decode', tokens: number, places?: Tensor) => {
      const [logits, ...beside] = [store, ...others].map((one) => model.logits(x, one[phase], tokens));
      return head.next(logits!, places, ...beside) as ReturnType<Drawing['next']>; // there is at least one store
    };
    const stepOf = (lanes: number) => () => {
      assert(head.tokens, 'steps of several tokens: the head keeps none');
      const { ids, draws } = feed(head.tokens, store.step, { ...grid, lanes, drawn });
      const result = next(model.embed(ids, rows * lanes), 'decode', 1, draws);
      if (drawn) head.accept?.(ids, store.step);
      return result;
    };
    const alone = { step: () => next(model.embed(head.token, rows), 'decode', 1) };
    const lanes = drawn ? [plan.speculated] : Array.from({ length: store.table.mostLanes }, (_, i) => i + 1);
    const several = lanes.map((count) => [`step of ${count}`, stepOf(count)]);
    const programs: readonly Program<ReturnType<Drawing['next']>>[] = Object.values(
      await runtime.recordAll(
        {
          prefill: () => next(condition.embeddings(), 'prefill', promptLength),
          ...(plan.window === grid.lineLength && !drawn ? alone : (Object.fromEntries(several) as typeof alone)),
        },
        { ahead: true },
      ),
    );
    for (const program of programs) own(program);
    const stores = [store, ...others] as const;
    for (const one of stores) await one.recordLineEnd();
    for (const program of programs) await program.ready(); // compiled side by side with the ends of lines
    const [prefill, ...steps] = programs;
    const drafts = drawn && { drawn: own(new ReadBack(runtime, drawn)), lanes: plan.speculated };
    return new Run({ runtime, grid, condition, head, stores, prefill: prefill!, steps, drafts, owned });
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
  readonly stores: readonly [KvStore, ...KvStore[]];
  readonly prefill: Program<Result>;
  /** How far the images are, and tokens of each that a step feeds. */
  readonly drafts: { readonly drawn: ReadBack; readonly lanes: number } | undefined;
  /** By how many tokens of an image are fed: one, two, ...; with drafts one of all. */
  readonly steps: readonly Program<Result>[];
  readonly owned: readonly { dispose(): void }[];
}

/** Feeds tokens and draws the next ones. */
export class Run<Drawing = unknown, Result = unknown> {
  #isFilled = false;

  constructor(private readonly parts: RunParts<Drawing, Result>) {}

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
    return this.parts.stores[0];
  }
  get prefill(): Program<Result> {
    return this.parts.prefill;
  }
  /** Of one line at a time; see `steps`. */
  get step(): Program<Result> {
    return this.parts.steps[0]!; // a step feeds one token at least
  }
  get steps(): readonly Program<Result>[] {
    return this.parts.steps;
  }

  /** Draws a token of each image, or of each line in flight: one submit. Returns the program that did, and fills `copies` after it. */
  draw(...copies: readonly ReadBack[]): Program<Result> {
    const { program, ends } = this.#advance();
    this.parts.runtime.runAndCopy([program, ...ends], copies);
    return program;
  }

  /** The same without the end of a line, which is given to be run next: for who takes its time apart. */
  drawBeforeEnd(...copies: readonly ReadBack[]): readonly Program[] {
    const { program, ends } = this.#advance();
    this.parts.runtime.runAndCopy([program], copies);
    return ends;
  }

  #advance(): { readonly program: Program<Result>; readonly ends: readonly Program[] } {
    const { stores, prefill, steps } = this.parts;
    const program = this.#isFilled ? steps[this.store.table.next.length - 1]! : prefill; // one of each number of lanes
    const ends = this.#isFilled ? stores.flatMap((store) => store.advance()) : [];
    this.#isFilled = true;
    return { program, ends };
  }

  /** Draws until one line more is whole, and fills `copies` after the last step. */
  async drawLine(...copies: readonly ReadBack[]): Promise<void> {
    if (this.parts.drafts) return await this.#drawDrafts(this.parts.drafts, copies);
    for (let left = this.#isFilled ? this.store.plan.window : this.parts.grid.lineLength; left > 1; left--) this.draw();
    this.draw(...copies);
  }

  /** So many steps as the slowest image still takes at least, then asks how far it is; images that are whole wait for it. */
  async #drawDrafts({ drawn, lanes }: { drawn: ReadBack; lanes: number }, copies: readonly ReadBack[]): Promise<void> {
    const { runtime, prefill, grid, condition } = this.parts;
    if (!this.#isFilled) runtime.run(prefill);
    this.#isFilled = true;
    const { ends, last } = this.store.advanceLine();
    let before = ends;
    for (let left = (last % grid.lineLength) + 1; left > 0; ) {
      for (let count = Math.ceil(left / lanes); count > 0; count--) {
        runtime.runAndCopy([...before, this.step], count > 1 ? [] : [drawn, ...copies]);
        before = [];
      }
      const slowest = Math.min(...new Uint32Array(await drawn.read(), 0, condition.images));
      left = Math.min(left - 1, last + 2 - slowest); // a step draws one at least
    }
  }

  dispose(): void {
    for (const thing of this.parts.owned) thing.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
