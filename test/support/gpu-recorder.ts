/** What every (layer, row, KV head) of a store on the GPU holds after each step, by read-backs. */

import type { KvStore } from '../../src/cache/kv-store.ts';
import { PageTable, type Placement } from '../../src/cache/page-table.ts';
import type { PolicyName } from '../../src/cache/policies/index.ts';
import { SCORES, scoreError } from '../oracle/scores.ts';
import { type GpuShape, positionOffsetsOf } from './gpu-inputs.ts';
import { keyAndValue } from './slot-contents.ts';
import type { Held, StoreHistory, StoreMoment } from './store-invariants.ts';

/** Beside what any store tells, the attention observed of each slot at a line's end, before and after cells share it. */
export type GpuMoment = StoreMoment & { readonly attention: readonly number[]; readonly shared: readonly number[] };

/** What one (layer, row, KV head) held; contents are the bytes of key and value, see `vectors`. */
export interface GpuCell {
  readonly layer: number;
  readonly row: number;
  readonly head: number;
  readonly history: StoreHistory & { readonly moments: readonly GpuMoment[] };
}

/** Records an image, with the liveness that a page table of its own tells. */
export class GpuRecorder {
  readonly #table: PageTable;
  readonly #leftPadding: Held[] = [];
  readonly #moments: GpuMoment[][] = [];
  #live: ReadonlySet<number>;
  #scores: Float32Array[] = [];
  #hasEvicted = false;

  constructor(
    private readonly store: KvStore,
    private readonly shape: GpuShape,
  ) {
    this.#table = new PageTable(store.plan, { ...shape, conditionTokens: shape.condition });
    this.#live = new Set(range(shape.condition));
  }

  async begin(): Promise<void> {
    for (const held of await this.#held()) {
      this.#leftPadding.push(held);
      this.#moments.push([]);
    }
  }

  /** After a step; returns what it placed. */
  async stepPlaced(): Promise<Placement> {
    const placement = this.#table.place();
    this.#live = new Set(range(this.store.slots).filter((slot) => this.#table.isHeld(slot)));
    const lanes = placement.lanes.filter(({ end }) => end > 0); // no stand-ins
    for (const [cell, held] of (await this.#held()).entries()) {
      for (const [i, { token, slot }] of lanes.entries()) {
        // one after another, as if the newer lines' were placed later
        const later = lanes.slice(i + 1).map((lane) => lane.slot);
        const without = <T>(values: readonly T[], none: T) =>
          values.map((value, at) => (later.includes(at) ? none : value));
        const { summaries } = held;
        const before = { tokens: without(held.tokens, -1), contents: without(held.contents, 'nothing'), summaries };
        const written = held.contents[slot];
        this.#moments[cell]!.push({ kind: 'token', token, slot, written, attention: [], shared: [], ...before });
      }
    }
    return placement;
  }

  async beforeLineEnd(): Promise<void> {
    const { plan, slots } = this.store;
    const { layers, leftPadding, kvHeads } = this.shape;
    const none = new Float32Array(leftPadding.length * kvHeads * slots);
    // lanes are added up in the order of the shader
    const total = async (layer: number) => {
      const all = await this.store.banks.scores(layer);
      const lanes = range(all.length / none.length).map((i) => all.subarray(i * none.length, (i + 1) * none.length));
      return lanes.reduce((sum, lane) => sum.map((value, at) => value + lane[at]!));
    };
    this.#scores = await Promise.all(range(layers).map((layer) => (plan.observe === 'nothing' ? none : total(layer))));
  }

  async lineEnded({ nextLine, lanes }: Placement): Promise<void> {
    const { lineLength, kvHeads, leftPadding } = this.shape;
    const line = nextLine - Math.ceil(lineLength / this.store.plan.window); // that is whole; none at first
    const end = this.#table.endLine();
    const freedPage = end.kind === 'evict' ? end.leavingPage : undefined;
    const freed = new Set(end.kind === 'evict' ? range(lineLength, end.leavingSlot) : []);
    this.#live = new Set([...this.#live].filter((slot) => !freed.has(slot)));
    this.#hasEvicted ||= end.kind === 'evict';
    if (line < 0) return;
    const token = lanes[0]!.token;
    const slots = range(this.store.slots);
    for (const [cell, held] of (await this.#held()).entries()) {
      const of = (at: number) => {
        const inLayer = at % (leftPadding.length * kvHeads);
        const scores = this.#scores[Math.floor(at / (leftPadding.length * kvHeads))]!;
        return scores.subarray(inLayer * slots.length, (inLayer + 1) * slots.length);
      };
      const { observe } = this.store.plan;
      const before = this.#moments[cell]!.at(-1)!.tokens;
      // of the image's tokens, where they were observed: the rest is left from before
      const isKnown = end.kind === 'evict' || (observe !== 'nothing' && observe.queries === 'image');
      const known = (values: (slot: number) => number) =>
        slots.map((slot) => (isKnown && before[slot]! >= this.shape.condition ? values(slot) : 0));
      const attention = known((slot) => of(cell)[slot]!);
      const sharing = this.#sharing(cell);
      // summed in the shader's order, so that what ties there ties here
      const mean = (slot: number) =>
        Math.fround(
          sharing.reduce(
            (sum, pair) => Math.fround(sum + Math.fround(pair.reduce((both, at) => both + of(at)[slot]!, 0))),
            0,
          ) / sharing.flat().length,
        );
      const shared = end.kind === 'evict' ? known(mean) : attention;
      const { scores, scoreError } =
        end.kind === 'evict'
          ? this.#chosenBy(cell, { token, line }, shared)
          : { scores: slots.map(() => 0), scoreError: 0 };
      this.#moments[cell]!.push({ kind: 'line', line, scores, scoreError, freedPage, attention, shared, ...held });
    }
  }

  /** Cells that keep the same tokens, in pairs of rows. */
  #sharing(cell: number): readonly (readonly number[])[] {
    const { kvHeads, leftPadding, images } = this.shape;
    const { scoreScope, rowScope } = this.store.plan;
    const inLayer = leftPadding.length * kvHeads;
    const isPaired = rowScope === 'image' && leftPadding.length === 2 * images;
    const first = cell - (cell % inLayer);
    const conditional = isPaired ? first + ((cell - first) % (inLayer / 2)) : cell;
    const heads = scoreScope === 'layer' ? range(kvHeads, conditional - (conditional % kvHeads)) : [conditional];
    return heads.map((at) => (isPaired ? [at, at + inLayer / 2] : [at]));
  }

  /** Scores by definition, of each slot as it was before the line's end. */
  #chosenBy(
    cell: number,
    { token, line }: { readonly token: number; readonly line: number },
    attention: readonly number[],
  ) {
    const { condition, lineLength, kvHeads, leftPadding, headDim } = this.shape;
    const { policy, anchorTokens, recentLines } = this.store.plan;
    const before = this.#moments[cell]!.at(-1)!;
    const open = (line + 1 - recentLines) * lineLength;
    const candidates = before.tokens.flatMap((held, slot) => {
      const position = held - condition;
      const isCandidate = held >= condition && position >= anchorTokens && position < open;
      return isCandidate
        ? [{ slot, position, attention: attention[slot]!, key: vectors(before.contents[slot]).key }]
        : [];
    });
    const at = { layer: Math.floor(cell / (leftPadding.length * kvHeads)), head: cell % kvHeads, token };
    const values = SCORES[policy.name as PolicyName](candidates, at);
    const scores = before.tokens.map(() => 0);
    for (const [i, { slot }] of candidates.entries()) scores[slot] = values[i]!;
    return { scores, scoreError: scoreError(policy.name, candidates.length, headDim) };
  }

  cells(): GpuCell[] {
    const { kvHeads, leftPadding } = this.shape;
    const { plan } = this.store;
    return this.#moments.map((moments, cell) => ({
      layer: Math.floor(cell / (leftPadding.length * kvHeads)),
      row: Math.floor(cell / kvHeads) % leftPadding.length,
      head: cell % kvHeads,
      history: { ...this.shape, plan, start: this.#leftPadding[cell]!, moments },
    }));
  }

  /** Of every layer, row and KV head, in this order. */
  async #held(): Promise<Held[]> {
    const { kvHeads, layers, condition, lineLength } = this.shape;
    const positionOffsets = positionOffsetsOf(this.shape);
    const { slots } = this.store;
    const tokenSlots = condition + this.store.plan.budgetLines * lineLength; // behind them the summaries' rests
    const layersHeld = range(layers).map(async (layer) => {
      const [positions, contents] = await Promise.all([
        this.store.banks.positions(layer),
        this.store.banks.contents(layer),
      ]);
      return range(positionOffsets.length * kvHeads).map((cell): Held => {
        const shift = positionOffsets[Math.floor(cell / kvHeads)]!;
        const tokenIn = (slot: number) => {
          const position = positions[cell * slots + slot]!;
          if (slot >= condition) return position + shift;
          return position === Math.max(slot - shift, 0) ? slot : -1;
        };
        const bytesIn = (slot: number) =>
          Buffer.from(keyAndValue(contents, this.store.shape, { cell, slot, slots }).buffer).toString('hex');
        const { anchorTokens, survivors, summaries } = this.store.plan;
        const means = this.#hasEvicted ? range(summaries, condition + anchorTokens + survivors) : [];
        const isLive = range(tokenSlots).map((slot) => this.#live.has(slot) && !means.includes(slot));
        return {
          tokens: isLive.map((live, slot) => (live ? tokenIn(slot) : -1)),
          contents: isLive.map((live, slot) => (live ? bytesIn(slot) : 'nothing')),
          summaries: means.map((slot) => ({ count: positions[cell * slots + slot]!, contents: bytesIn(slot) })),
        };
      });
    });
    return (await Promise.all(layersHeld)).flat();
  }
}

/** Key and value from the bytes of a slot. */
export function vectors(contents: unknown): { readonly key: Float32Array; readonly value: Float32Array } {
  const bytes = Uint8Array.from(Buffer.from(contents as string, 'hex'));
  const both = new Float32Array(bytes.buffer);
  return { key: both.subarray(0, both.length / 2), value: both.subarray(both.length / 2) };
}

function range(count: number, first = 0): number[] {
  return Array.from({ length: count }, (_, i) => first + i);
}
