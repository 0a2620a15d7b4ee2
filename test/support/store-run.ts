/** An image placed token by token into a page table, with slots and regions kept beside it by the plain models. */

import { isLive, PageTable } from '../../src/cache/page-table.ts';
import { type CacheOptions, type CachePlan, type PolicyName, planCache } from '../../src/cache/policy.ts';
import { SCORES } from '../oracle/scores.ts';
import { SlotModel, StoreModel } from '../oracle/store.ts';
import type { StoreHistory, StoreMoment } from './store-invariants.ts';

export interface RunShape {
  readonly lines: number;
  readonly lineLength: number;
  readonly condition: number;
  readonly cache: CacheOptions;
  /** Columns that a line is ahead of the one below; absent: they come one after another. */
  readonly window?: number;
}

/** Scores that the line gives to an image token, by its position. */
export type Attention = (line: number, position: number) => number;

/** Beside what any store tells, what the models and the table say of the same moment. */
export type PlainMoment = StoreMoment & {
  /** Tokens that the regions hold, ascending, without the condition's. */
  readonly regions: readonly number[];
  /** Slots that the token sees by the table; after a line's end, none of its own. */
  readonly live: readonly number[] | undefined;
};

/** Runs one image on plain models; the table may be one that was reset. */
export function storeHistory(
  shape: RunShape,
  attention: Attention,
  table = tableOf(shape),
): StoreHistory & { readonly moments: readonly PlainMoment[] } {
  const moments = [...storeMoments(shape, attention, table)];
  const plan = planOf(shape);
  const { slots, contents } = emptySlots(shape, plan);
  return { ...shape, plan, start: { tokens: slots.slots, contents, summaries: [] }, moments };
}

export function tableOf(shape: RunShape): PageTable {
  return new PageTable(planOf(shape), { ...shape, conditionTokens: shape.condition });
}

/** The moments of an image, one by one. */
export function* storeMoments(shape: RunShape, attention: Attention, table: PageTable): Generator<PlainMoment> {
  const { lines, lineLength, condition } = shape;
  const plan = planOf(shape);
  const model = new StoreModel({ ...plan, lineLength });
  let hasEvicted = false;
  const { slots, contents } = emptySlots(shape, plan);
  const summarySlots = new Set(range(condition + plan.anchorTokens + plan.survivors, plan.summaries));
  const state = () => ({
    tokens: [...slots.slots],
    contents: [...contents],
    summaries: hasEvicted ? model.joined.map((joined) => ({ count: joined.length, contents: [...joined] })) : [],
    regions: [...model.held.keys()].map((position) => condition + position).sort((a, b) => a - b),
  });
  for (let step = 1; step <= lineLength + (lines - 1) * plan.window; step++) {
    const placement = table.place();
    for (const [own, { token, line, slot, end }] of placement.lanes.entries()) {
      if (end === 0) continue; // a stand-in
      slots.slots[slot] = condition + token;
      const written = contentsOf(condition + token);
      contents[slot] = written;
      model.place(token);
      model.accumulate((position) => attention(line, position));
      const live = range(0, slots.slots.length).filter(
        (s) => isLive(placement, own, s) && !(hasEvicted && summarySlots.has(s)),
      );
      yield { kind: 'token', token, slot, written, live, ...state() };
    }

    if (!placement.endsLine) continue;
    const line = placement.nextLine - Math.ceil(lineLength / plan.window); // that is whole; none at first
    const token = placement.lanes[0]!.token;
    const candidates = model.candidates();
    const cell = { layer: 0, head: 0, token };
    const all = SCORES[plan.policy.name as PolicyName](
      candidates.map((position) => ({ position, attention: model.held.get(position)!, key: [position % 5, 1] })),
      cell,
    );
    const chosenBy = new Map(candidates.map((position, i) => [position, all[i]!]));
    const scores = slots.slots.map((held) => chosenBy.get(held - condition) ?? 0);
    const end = table.endLine();
    const evicted = new Set(
      model.endLine((position) => chosenBy.get(position)!).map((position) => condition + position),
    );
    if (end.kind === 'evict') {
      const elsewhere = [...(end.isFirst ? summarySlots : []), ...range(end.leavingSlot, lineLength)];
      const moves = slots.fill(evicted, range(condition + plan.anchorTokens, plan.survivors), elsewhere);
      for (const { from, to } of moves) contents[to] = contents[from]!; // a survivor has contents
      hasEvicted = true;
    }
    if (plan.observe === 'nothing' || plan.observe.queries !== 'image') model.forgetAttention();
    const freedPage = end.kind === 'evict' ? end.leavingPage : undefined;
    if (line >= 0) yield { kind: 'line', line, scores, scoreError: 0, freedPage, live: undefined, ...state() };
  }
}

function planOf({ cache, window, ...grid }: RunShape): CachePlan {
  return planCache(cache, grid, window === undefined ? {} : { parallel: { window } });
}

/** Slots with the condition written. */
function emptySlots({ condition, lineLength }: RunShape, plan: CachePlan): { slots: SlotModel; contents: string[] } {
  const slots = new SlotModel(condition + plan.budgetLines * lineLength);
  for (let token = 0; token < condition; token++) slots.slots[token] = token;
  return { slots, contents: slots.slots.map((token) => (token < 0 ? 'nothing' : contentsOf(token))) };
}

function contentsOf(token: number): string {
  return `key and value of ${token}`;
}

function range(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => first + i);
}
