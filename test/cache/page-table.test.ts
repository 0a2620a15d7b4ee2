import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type PageRole, PageTable } from '../../src/cache/page-table.ts';
import { planCache } from '../../src/cache/policy.ts';
import {
  type Command,
  DrawLines,
  EndLine,
  EndLineWrongly,
  Place,
  PlaceLine,
  PlaceWrongly,
  type Progress,
  Reset,
} from '../support/page-table-commands.ts';

const starts: fc.Arbitrary<Progress> = fc
  .record({
    lines: fc.integer({ min: 1, max: 12 }),
    lineLength: fc.integer({ min: 1, max: 5 }),
    conditionTokens: fc.nat({ max: 4 }),
    anchorLines: fc.nat({ max: 3 }),
    recentLines: fc.nat({ max: 3 }),
    extra: fc.nat({ max: 4 }),
    policy: fc.constantFrom('line-ar' as const, 'streaming' as const, 'full' as const),
    columns: fc.nat({ max: 4 }),
    lineEnd: fc.constantFrom({}, { lineEnd: 7 }),
  })
  .map(({ anchorLines, recentLines, extra, policy, columns, lineEnd, ...grid }) => {
    const shape = { ...grid, ...lineEnd };
    const window = Math.max(1, shape.lineLength - columns);
    const inFlight = Math.ceil(shape.lineLength / window);
    const budget = policy === 'full' ? {} : { budgetLines: anchorLines + recentLines + inFlight + extra };
    const plan = planCache({ policy, anchorLines, recentLines, ...budget }, shape, { parallel: { window } });
    return { shape, plan, placed: 0, ended: 0 };
  });

describe('PageTable', () => {
  it('does what the closed form says, whatever is done to it in whatever order', () => {
    const usual = [
      fc.integer({ min: 1, max: 5 }).map((count) => new Place(count)),
      fc.constant(new PlaceLine()),
      fc.constant(new EndLine()),
      fc.integer({ min: 1, max: 8 }).map((count) => new DrawLines(count)),
    ];
    const rare = [fc.constant(new PlaceWrongly()), fc.constant(new EndLineWrongly()), fc.constant(new Reset())];
    const commands = fc.commands([...usual, ...usual, ...usual, ...rare], { maxCommands: 30, size: 'max' });
    const property = (start: Progress, steps: Iterable<Command>) =>
      fc.modelRun(() => {
        const model = { ...start };
        return { model, real: new PageTable(start.plan, start.shape) };
      }, steps);
    fc.assert(fc.property(starts, commands, property), { numRuns: 1000 });
  });

  it('keeps the kept lines in the first pages, and after the first full budget frees exactly the page it opens', () => {
    const property = (start: Progress) => {
      const { shape, plan } = start;
      const table = new PageTable(plan, shape);
      const inFlight = Math.ceil(shape.lineLength / plan.window);
      for (let step = 1; step <= shape.lineLength + (shape.lines - 1) * plan.window; step++) {
        if (!table.place().endsLine) continue;
        const before = [...table.roles];
        const end = table.endLine();
        const pages = (role: PageRole) => table.roles.flatMap((r, page) => (r === role ? [page] : []));
        const kept = pages('kept');
        assert.deepEqual(
          kept,
          kept.map((_, i) => i),
        );
        assert.equal(pages('current').length, table.currentPages.length);
        assert.ok(table.currentPages.length <= inFlight);
        const newest = table.currentPages.at(-1)!;
        if (end.kind === 'none') {
          assert.equal(before[newest], 'free');
          continue;
        }
        assert.deepEqual([kept.length, pages('recent').length], [plan.keptLines, plan.recentLines]);
        assert.deepEqual([table.currentPages.length, newest], [inFlight, end.leavingPage]);
        const changed = before.flatMap((role, page) => (role === table.roles[page] ? [] : [page]));
        assert.ok(changed.every((page) => before[page] === 'current' || page === end.leavingPage));
      }
    };
    fc.assert(fc.property(starts, property), { numRuns: 1000 });
  });
});
