import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type PageRole, PageTable, type TableShape } from '../../src/cache/page-table.ts';
import { type CachePlan, planCache } from '../../src/cache/policy.ts';

/** What was done so far: all that the table depends on. */
interface Progress {
  readonly shape: TableShape;
  readonly plan: CachePlan;
  placed: number;
  ended: number;
}

/** Page of a line, in closed form: the first lines stay, the others take turns on `recentLines + 1` pages. */
function pageOf({ plan }: Progress, line: number): number {
  const settled = plan.anchorLines + plan.middleLines;
  return line < settled ? line : settled + ((line - settled) % (plan.recentLines + 1));
}

/** Lines that own their page: the rest of the image was evicted, moved, or is not drawn yet. */
function rolesOf(progress: Progress): PageRole[] {
  const { plan, ended } = progress;
  const roles = Array.from({ length: plan.budgetLines }, (): PageRole => 'free');
  for (let line = 0; line <= ended; line++) {
    if (line === ended) roles[pageOf(progress, line)] = 'current';
    else if (line < plan.anchorLines) roles[line] = 'anchor';
    else if (line >= ended - plan.recentLines) roles[pageOf(progress, line)] = 'recent';
    else if (line < plan.anchorLines + plan.middleLines) roles[line] = 'middle';
  }
  return roles;
}

function lineIsFull({ placed, ended, shape }: Progress): boolean {
  return placed === (ended + 1) * shape.lineLength;
}

function checkTable(progress: Progress, table: PageTable): void {
  const { shape, placed, ended } = progress;
  const roles = rolesOf(progress);
  assert.deepEqual(table.roles, roles);
  assert.equal(table.currentPage, roles.indexOf('current'));
  const whole = roles.filter((role) => role !== 'free' && role !== 'current').length;
  assert.equal(table.liveSlots, whole * shape.lineLength + placed - ended * shape.lineLength);
}

function placeOne(progress: Progress, table: PageTable): void {
  const { shape, placed, ended } = progress;
  const page = pageOf(progress, ended);
  const column = placed - ended * shape.lineLength;
  const live = rolesOf(progress).flatMap((role, p) =>
    role === 'free' ? [] : slotsOf(shape, p).slice(0, p === page ? column + 1 : shape.lineLength),
  );

  const { slot, extent, deadFrom, deadTo } = table.place(placed);
  progress.placed++;

  assert.equal(slot, slotsOf(shape, page)[column]);
  const told = Array.from({ length: extent }, (_, s) => s).filter((s) => s < deadFrom || s >= deadTo);
  const condition = Array.from({ length: shape.conditionTokens }, (_, s) => s);
  assert.deepEqual(told, [...condition, ...live]);
  assert.ok(deadFrom <= deadTo && deadTo <= extent);
  if (page === Math.min(ended, progress.plan.budgetLines - 1))
    assert.deepEqual([extent, deadTo - deadFrom], [slot + 1, 0]);
}

function slotsOf({ conditionTokens, lineLength }: TableShape, page: number): number[] {
  return Array.from({ length: lineLength }, (_, column) => conditionTokens + page * lineLength + column);
}

function endOne(progress: Progress, table: PageTable): void {
  const { shape, plan } = progress;
  const leaving = pageOf(progress, progress.ended - plan.recentLines);
  const evicts = progress.ended + 1 >= plan.budgetLines;

  const end = table.endLine();
  progress.ended++;

  if (!evicts) {
    assert.deepEqual(end, { kind: 'none' });
    return;
  }
  const middleSlots = plan.middleLines * shape.lineLength;
  const middleSlot = shape.conditionTokens + plan.anchorLines * shape.lineLength;
  const leavingSlot = slotsOf(shape, leaving)[0];
  assert.deepEqual(end, { kind: 'evict', leavingPage: leaving, leavingSlot, middleSlot, middleSlots });
  assert.equal(table.currentPage, leaving);
}

type Command = fc.Command<Progress, PageTable>;

class Place implements Command {
  constructor(readonly count: number) {}
  check = (progress: Readonly<Progress>) => !lineIsFull(progress);
  run(progress: Progress, table: PageTable): void {
    for (let i = 0; i < this.count && !lineIsFull(progress); i++) {
      placeOne(progress, table);
      checkTable(progress, table);
    }
  }
  toString = () => `place ${this.count}`;
}

class EndLine implements Command {
  check = (progress: Readonly<Progress>) => lineIsFull(progress) && progress.ended < progress.shape.lines - 1;
  run(progress: Progress, table: PageTable): void {
    endOne(progress, table);
    checkTable(progress, table);
  }
  toString = () => 'end line';
}

class DrawLines implements Command {
  constructor(readonly count: number) {}
  check = () => true;
  run(progress: Progress, table: PageTable): void {
    for (let i = 0; i < this.count; i++) {
      new Place(progress.shape.lineLength).run(progress, table);
      if (progress.ended < progress.shape.lines - 1) new EndLine().run(progress, table);
    }
  }
  toString = () => `draw ${this.count} lines`;
}

class Reset implements Command {
  check = () => true;
  run(progress: Progress, table: PageTable): void {
    table.reset();
    progress.placed = 0;
    progress.ended = 0;
    checkTable(progress, table);
  }
  toString = () => 'reset';
}

class PlaceWrongly implements Command {
  constructor(readonly offset: number) {}
  check = (progress: Readonly<Progress>) => this.offset !== 0 || lineIsFull(progress);
  run(progress: Progress, table: PageTable): void {
    assert.throws(() => table.place(progress.placed + this.offset), /^Error: internal: place: token/);
    checkTable(progress, table);
  }
  toString = () => `place out of turn, ${this.offset} off`;
}

class EndLineWrongly implements Command {
  check = (progress: Readonly<Progress>) => !lineIsFull(progress) || progress.ended === progress.shape.lines - 1;
  run(progress: Progress, table: PageTable): void {
    assert.throws(() => table.endLine(), /^Error: internal: endLine: /);
    checkTable(progress, table);
  }
  toString = () => 'end line too early, or after the last';
}

const starts: fc.Arbitrary<Progress> = fc
  .record({
    lines: fc.integer({ min: 1, max: 12 }),
    lineLength: fc.integer({ min: 1, max: 5 }),
    conditionTokens: fc.nat({ max: 4 }),
    anchorLines: fc.nat({ max: 3 }),
    recentLines: fc.nat({ max: 3 }),
    extra: fc.nat({ max: 4 }),
    policy: fc.constantFrom('linear' as const, 'streaming' as const, 'full' as const),
  })
  .map(({ anchorLines, recentLines, extra, policy, ...shape }) => {
    const budget = policy === 'full' ? {} : { budgetLines: anchorLines + recentLines + 1 + extra };
    const plan = planCache({ policy, anchorLines, recentLines, ...budget }, shape.lines);
    return { shape, plan, placed: 0, ended: 0 };
  });

describe('PageTable', () => {
  it('does what the closed form says, whatever is done to it in whatever order', () => {
    const usual = [
      fc.integer({ min: 1, max: 5 }).map((count) => new Place(count)),
      fc.constant(new EndLine()),
      fc.integer({ min: 1, max: 8 }).map((count) => new DrawLines(count)),
    ];
    const rare = [
      fc.integer({ min: -3, max: 3 }).map((offset) => new PlaceWrongly(offset)),
      fc.constant(new EndLineWrongly()),
      fc.constant(new Reset()),
    ];
    const commands = fc.commands([...usual, ...usual, ...usual, ...rare], { maxCommands: 30, size: 'max' });
    const property = (start: Progress, steps: Iterable<Command>) =>
      fc.modelRun(() => {
        const model = { ...start };
        return { model, real: new PageTable(start.plan, start.shape) };
      }, steps);
    fc.assert(fc.property(starts, commands, property), { numRuns: 1000 });
  });

  it('keeps the middle in one range of pages, and after the first full budget frees exactly the page it opens', () => {
    const property = (start: Progress) => {
      const { shape, plan } = start;
      const table = new PageTable(plan, shape);
      for (let token = 0; token < shape.lines * shape.lineLength; token++) {
        table.place(token);
        if ((token + 1) % shape.lineLength !== 0 || token + 1 === shape.lines * shape.lineLength) continue;
        const before = [...table.roles];
        const end = table.endLine();
        const pages = (role: PageRole) => table.roles.flatMap((r, page) => (r === role ? [page] : []));
        const middle = pages('middle');
        assert.deepEqual(
          middle,
          middle.map((_, i) => plan.anchorLines + i),
        );
        assert.equal(pages('current').length, 1);
        if (end.kind === 'none') {
          assert.equal(before[table.currentPage], 'free');
          continue;
        }
        assert.deepEqual([middle.length, pages('recent').length], [plan.middleLines, plan.recentLines]);
        assert.deepEqual(pages('current'), [end.leavingPage]);
        const changed = before.flatMap((role, page) => (role === table.roles[page] ? [] : [page]));
        assert.ok(changed.every((page) => before[page] === 'current' || page === end.leavingPage));
      }
    };
    fc.assert(fc.property(starts, property), { numRuns: 1000 });
  });
});
