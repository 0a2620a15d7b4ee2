import assert from 'node:assert/strict';
import fc from 'fast-check';
import { POLICIES, type PolicyName } from '../../src/cache/policies/index.ts';
import { keepBest, SlotModel } from '../oracle/store.ts';
import { randomValues } from '../support/random.ts';
import { bookkeeping, INVARIANTS, sameHeld } from '../support/store-invariants.ts';
import { type Attention, type RunShape, storeHistory, storeMoments, tableOf } from '../support/store-run.ts';

const RUNS = { numRuns: 1000 };

/** All policies but `full`. */
const EVICTING = (Object.keys(POLICIES) as PolicyName[]).filter((name) => name !== 'full');

const shapes: fc.Arbitrary<RunShape> = fc
  .record({
    lines: fc.integer({ min: 1, max: 12 }),
    lineLength: fc.integer({ min: 1, max: 6 }),
    condition: fc.integer({ min: 0, max: 5 }),
    anchorLines: fc.nat({ max: 3 }),
    recentLines: fc.nat({ max: 3 }),
    extra: fc.nat({ max: 4 }),
    policy: fc.constantFrom(...EVICTING),
    summaries: fc.nat({ max: 5 }),
    columns: fc.constantFrom(0, 0, 1, 2, 3, 5),
  })
  .map(({ anchorLines, recentLines, extra, policy, summaries, columns, ...rest }) => ({
    ...rest,
    window: Math.max(1, rest.lineLength - columns),
    anchorLines,
    recentLines,
    extra,
    policy,
    summaries,
  }))
  .map(({ anchorLines, recentLines, extra, policy, summaries, ...rest }) => ({
    ...rest,
    cache: {
      ...{ policy, anchorLines, recentLines },
      // a streaming cache makes whole lines of its summaries
      summaries: Math.min(summaries, extra * rest.lineLength),
      budgetLines: anchorLines + recentLines + Math.ceil(rest.lineLength / rest.window) + extra,
    },
  }));

/** Attention from a few values, so that scores tie often. */
function attention(seed: number): Attention {
  return (line, position) => Math.floor(4 * Math.abs(randomValues(seed + 1009 * line + 7 * position, 1)[0]!));
}

describe('the store, on plain models', () => {
  for (const [title, check] of Object.entries(INVARIANTS)) {
    it(title, () => {
      const property = (shape: RunShape, seed: number) => check(storeHistory(shape, attention(seed)));
      fc.assert(fc.property(shapes, fc.nat(), property), RUNS);
    });
  }

  it('8. a budget of all lines or more holds what the full cache holds', () => {
    const property = (shape: RunShape, seed: number, extra: number) => {
      const cache = { ...shape.cache, budgetLines: shape.lines + extra };
      const full = storeHistory({ ...shape, cache: {} }, attention(seed));
      sameHeld(storeHistory({ ...shape, cache }, attention(seed)), full);
      assert.equal(full.moments.at(-1)?.tokens.filter((token) => token < 0).length, 0);
    };
    fc.assert(fc.property(shapes, fc.nat(), fc.nat({ max: 3 }), property), RUNS);
  });

  it('8. the page table after k lines does not depend on the scores', () => {
    const property = (shape: RunShape, seed: number, other: number) => {
      const of = (scores: number) => bookkeeping(storeHistory(shape, attention(scores)));
      assert.deepEqual(of(seed), of(other));
    };
    fc.assert(fc.property(shapes, fc.nat(), fc.nat(), property), RUNS);
  });

  it('9. a table reset in the middle of an image behaves like a new one', () => {
    const property = (shape: RunShape, seed: number, stop: number) => {
      const table = tableOf(shape);
      let steps = 0;
      for (const _ of storeMoments(shape, attention(seed + 1), table)) if (++steps > stop) break;
      table.reset();
      assert.deepEqual(storeHistory(shape, attention(seed), table), storeHistory(shape, attention(seed)));
    };
    fc.assert(fc.property(shapes, fc.nat(), fc.nat({ max: 60 }), property), RUNS);
  });

  it('has slots, regions and a table that agree on what is live', () => {
    const property = (shape: RunShape, seed: number) => {
      for (const moment of storeHistory(shape, attention(seed)).moments) {
        const { tokens, regions, live } = moment;
        const held = tokens.filter((token) => token >= shape.condition).sort((a, b) => a - b);
        assert.deepEqual(held, regions);
        // of newer lines a token sees nothing
        const line = moment.kind === 'token' ? Math.floor(moment.token / shape.lineLength) : 0;
        const end = shape.condition + (line + 1) * shape.lineLength;
        const seen = tokens.flatMap((token, slot) => (token >= 0 && token < end ? [slot] : []));
        if (live) assert.deepEqual(live, seen);
      }
    };
    fc.assert(fc.property(shapes, fc.nat(), property), RUNS);
  });
});

describe('keepBest', () => {
  it('keeps what no other candidate beats by score, then by position', () => {
    const candidates = fc.uniqueArray(fc.record({ position: fc.nat({ max: 500 }), score: fc.nat({ max: 5 }) }), {
      selector: ({ position }) => position,
      maxLength: 60,
    });
    const property = (all: { position: number; score: number }[], count: number) => {
      const kept = keepBest(all, count);
      assert.equal(kept.size, Math.min(count, all.length));
      for (const a of all.filter(({ position }) => kept.has(position))) {
        for (const b of all.filter(({ position }) => !kept.has(position)))
          assert.ok(a.score > b.score || (a.score === b.score && a.position > b.position));
      }
    };
    fc.assert(fc.property(candidates, fc.nat({ max: 60 }), property), RUNS);
  });
});

describe('SlotModel', () => {
  it('moves survivors of the leaving page in ascending slot order into the holes in ascending slot order', () => {
    const model = new SlotModel(9);
    for (const slot of model.slots.keys()) model.slots[slot] = 10 + slot;

    const moves = model.fill(new Set([11, 14, 17]), [1, 2, 3, 4], [6, 7, 8]);

    assert.deepEqual(moves, [
      { from: 6, to: 1 },
      { from: 8, to: 4 },
    ]);
    assert.deepEqual(model.slots, [10, 16, 12, 13, 18, 15, -1, -1, -1]);
  });
});
