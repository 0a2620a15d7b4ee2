/** An image placed token by token into a page table, with slots and regions kept beside it by the plain models. */

import { PageTable } from '../../src/cache/page-table.ts';
import { type CacheOptions, type CachePlan, planCache } from '../../src/cache/policy.ts';
import { SlotModel, StoreModel } from '../oracle/store.ts';

export interface RunShape {
  readonly lines: number;
  readonly lineLength: number;
  readonly condition: number;
  readonly cache: CacheOptions;
}

/** The state after a token (before the end of its line), or after a line's end. */
export type Moment = {
  readonly token: number;
  readonly table: PageTable;
  readonly plan: CachePlan;
  readonly model: StoreModel;
  readonly slots: SlotModel;
} & (
  | {
      readonly kind: 'token' /** Slots that the table calls live, without the condition. */;
      readonly live: readonly number[];
    }
  | { readonly kind: 'line'; readonly evicted: readonly number[]; readonly freedPage: number | undefined }
);

/** Runs one image; `attention(line, position)` scores. */
export function* runStore(
  shape: RunShape,
  attention: (line: number, position: number) => number,
  reused?: PageTable,
): Generator<Moment> {
  const { lines, lineLength, condition } = shape;
  const plan = planCache(shape.cache, lines);
  const table = reused ?? new PageTable(plan, { lines, lineLength, conditionTokens: condition });
  const model = new StoreModel({ ...plan, lineLength, lines });
  const slots = new SlotModel(condition + plan.budgetLines * lineLength);
  for (let token = 0; token < lines * lineLength; token++) {
    const { slot, extent, deadFrom, deadTo } = table.place(token);
    if (slots.slots[slot] !== -1) throw new Error(`token ${token}: slot ${slot} is taken by ${slots.slots[slot]}`);
    slots.slots[slot] = token;
    model.place(token);
    const line = Math.floor(token / lineLength);
    model.accumulate((position) => attention(line, position));
    const live = range(condition, extent - condition).filter((s) => s < deadFrom || s >= deadTo);
    yield { kind: 'token', token, table, plan, model, slots, live };
    if ((token + 1) % lineLength !== 0 || line === lines - 1) continue;
    const end = table.endLine();
    const evicted = model.endLine();
    if (end.kind === 'evict')
      slots.fill(new Set(evicted), range(end.middleSlot, end.middleSlots), range(end.leavingSlot, lineLength));
    yield {
      kind: 'line',
      token,
      table,
      plan,
      model,
      slots,
      evicted,
      freedPage: end.kind === 'evict' ? end.leavingPage : undefined,
    };
  }
}

function range(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => first + i);
}
