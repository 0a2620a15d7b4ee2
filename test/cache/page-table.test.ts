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
  })
  .map(({ anchorLines, recentLines, extra, policy, ...shape }) => {
    const budget = policy === 'full' ? {} : { budgetLines: anchorLines + recentLines + 1 + extra };
    const plan = planCache({ policy, anchorLines, recentLines, ...budget }, shape);
    return { shape, plan, placed: 0, ended: 0 };
  });

describe('PageTable', () => {
  it('does what the closed form says, whatever is done to it in whatever order', () => {
    const usual = [
      fc.integer({ min: 1, max: 5 }).map((count) => new Place(count)),
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
      for (let token = 0; token < shape.lines * shape.lineLength; token++) {
        table.place();
        if ((token + 1) % shape.lineLength !== 0 || token + 1 === shape.lines * shape.lineLength) continue;
        const before = [...table.roles];
        const end = table.endLine();
        const pages = (role: PageRole) => table.roles.flatMap((r, page) => (r === role ? [page] : []));
        const kept = pages('kept');
        assert.deepEqual(
          kept,
          kept.map((_, i) => i),
        );
        assert.equal(pages('current').length, 1);
        if (end.kind === 'none') {
          assert.equal(before[table.currentPage], 'free');
          continue;
        }
        assert.deepEqual([kept.length, pages('recent').length], [plan.keptLines, plan.recentLines]);
        assert.deepEqual(pages('current'), [end.leavingPage]);
        const changed = before.flatMap((role, page) => (role === table.roles[page] ? [] : [page]));
        assert.ok(changed.every((page) => before[page] === 'current' || page === end.leavingPage));
      }
    };
    fc.assert(fc.property(starts, property), { numRuns: 1000 });
  });
});
