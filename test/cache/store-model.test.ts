import assert from 'node:assert/strict';
import fc from 'fast-check';
import { PageTable } from '../../src/cache/page-table.ts';
import { planCache } from '../../src/cache/policy.ts';
import { keepBest } from '../oracle/store.ts';
import { randomValues } from '../support/random.ts';
import { type Moment, type RunShape, runStore } from '../support/store-run.ts';

const RUNS = { numRuns: 1000 };

const shapes: fc.Arbitrary<RunShape & { readonly seed: number }> = fc
  .record({
    lines: fc.integer({ min: 1, max: 12 }),
    lineLength: fc.integer({ min: 1, max: 6 }),
    condition: fc.integer({ min: 0, max: 5 }),
    anchorLines: fc.nat({ max: 3 }),
    recentLines: fc.nat({ max: 3 }),
    extra: fc.nat({ max: 4 }),
    policy: fc.constantFrom('linear' as const, 'streaming' as const),
    seed: fc.nat(),
  })
  .map(({ anchorLines, recentLines, extra, policy, ...rest }) => ({
    ...rest,
    cache: { policy, anchorLines, recentLines, budgetLines: anchorLines + recentLines + 1 + extra },
  }));

/** Attention from a few values, so that scores tie often. */
function attention(seed: number): (line: number, position: number) => number {
  return (line, position) => Math.floor(4 * Math.abs(randomValues(seed + 1009 * line + 7 * position, 1)[0]!));
}

function everyMoment(check: (moment: Moment, shape: RunShape) => void): void {
  const property = (shape: RunShape & { readonly seed: number }) => {
    for (const moment of runStore(shape, attention(shape.seed))) check(moment, shape);
  };
  fc.assert(fc.property(shapes, property), RUNS);
}

function livePositions({ slots }: Moment): number[] {
  return slots.slots.filter((position) => position >= 0);
}

describe('the store, on plain models', () => {
  it('1. live visual slots never exceed the budget at any step', () => {
    everyMoment((moment, { lineLength }) => {
      const { plan, table } = moment;
      assert.ok(livePositions(moment).length <= plan.budgetLines * lineLength);
      if (moment.kind === 'token') assert.equal(moment.live.length, livePositions(moment).length);
      if (moment.kind === 'token') assert.equal(table.liveSlots, moment.live.length);
    });
  });

  it('2. anchors, the last whole lines and the current line are always all present', () => {
    everyMoment((moment, { lineLength }) => {
      const present = new Set(livePositions(moment));
      const line = Math.floor(moment.token / lineLength);
      const firstRecent = Math.max(0, line - moment.plan.recentLines + (moment.kind === 'line' ? 1 : 0));
      for (let position = 0; position <= moment.token; position++) {
        const of = Math.floor(position / lineLength);
        if (of < moment.plan.anchorLines || of >= firstRecent)
          assert.ok(present.has(position), `position ${position} after token ${moment.token}`);
      }
    });
  });

  it('3. no token is present twice, and every live position is one that was written', () => {
    everyMoment((moment) => {
      const positions = livePositions(moment);
      assert.equal(new Set(positions).size, positions.length);
      assert.ok(positions.every((position) => position <= moment.token));
    });
  });

  it('4. slots hold exactly the positions that the regions hold, moves included', () => {
    everyMoment((moment) => {
      assert.deepEqual(
        livePositions(moment).sort((a, b) => a - b),
        [...moment.model.held.keys()].sort((a, b) => a - b),
      );
      if (moment.kind === 'token') assert.ok(moment.live.every((slot) => moment.slots.slots[slot]! >= 0));
    });
  });

  it('5. an evicted token never comes back', () => {
    const property = (shape: RunShape & { readonly seed: number }) => {
      const gone = new Set<number>();
      for (const moment of runStore(shape, attention(shape.seed))) {
        assert.ok(livePositions(moment).every((position) => !gone.has(position)));
        if (moment.kind === 'line') for (const position of moment.evicted) gone.add(position);
      }
    };
    fc.assert(fc.property(shapes, property), RUNS);
  });

  it('6. survivors are exactly the best by score, later positions first among equals', () => {
    const candidates = fc.array(fc.record({ position: fc.nat({ max: 500 }), score: fc.nat({ max: 5 }) }), {
      maxLength: 60,
    });
    const property = (drawn: { position: number; score: number }[], count: number) => {
      const all = [...new Map(drawn.map((candidate) => [candidate.position, candidate])).values()];
      const kept = keepBest(all, count);
      assert.equal(kept.size, Math.min(count, all.length));
      for (const a of all.filter(({ position }) => kept.has(position))) {
        for (const b of all.filter(({ position }) => !kept.has(position)))
          assert.ok(a.score > b.score || (a.score === b.score && a.position > b.position));
      }
    };
    fc.assert(fc.property(candidates, fc.nat({ max: 60 }), property), RUNS);
  });

  it("7. from the first full budget on, each line frees exactly one page, and that page is the next line's", () => {
    everyMoment((moment, { lineLength }) => {
      if (moment.kind !== 'line') return;
      const { plan, table, slots, freedPage, token } = moment;
      const lines = (token + 1) / lineLength;
      assert.equal(freedPage !== undefined, lines >= plan.budgetLines);
      assert.equal(table.roles.filter((role) => role === 'current').length, 1);
      if (freedPage === undefined) return;
      assert.equal(table.currentPage, freedPage);
      const first = slots.slots.length - (plan.budgetLines - freedPage) * lineLength;
      assert.ok(slots.slots.slice(first, first + lineLength).every((position) => position === -1));
      const middle = table.roles.flatMap((role, page) => (role === 'middle' ? [page] : []));
      assert.deepEqual(
        middle,
        Array.from({ length: plan.middleLines }, (_, i) => plan.anchorLines + i),
      );
    });
  });

  it('8. the page table after k lines does not depend on the scores', () => {
    const property = (shape: RunShape & { readonly seed: number }, other: number) => {
      const roles = (seed: number) => [...runStore(shape, attention(seed))].map(({ table }) => [...table.roles]);
      assert.deepEqual(roles(shape.seed), roles(other));
    };
    fc.assert(fc.property(shapes, fc.nat(), property), RUNS);
  });

  it('9. a table reset in the middle of an image behaves like a new one', () => {
    const property = (shape: RunShape & { readonly seed: number }, stop: number) => {
      const table = new PageTable(planCache(shape.cache, shape.lines), { ...shape, conditionTokens: shape.condition });
      let steps = 0;
      for (const _ of runStore(shape, attention(shape.seed), table)) if (++steps > stop) break;
      table.reset();
      const trace = (reused?: PageTable) =>
        [...runStore(shape, attention(shape.seed), reused)].map((moment) => [moment.token, ...moment.slots.slots]);
      assert.deepEqual(trace(table), trace());
    };
    fc.assert(fc.property(shapes, fc.nat({ max: 60 }), property), RUNS);
  });

  it('refuses tokens out of order, and a line ended early', () => {
    const table = new PageTable(planCache({}, 3), { lines: 3, lineLength: 2, conditionTokens: 1 });
    assert.throws(() => table.place(1), /internal: place: token 1 after 0 tokens/);
    table.place(0);
    assert.throws(() => table.endLine(), /internal: endLine: the line is not full/);
    table.place(1);
    assert.throws(() => table.place(2), /internal: place: token 2 before the end of the line/);
  });
});
