/** The page table by definition, and what can be done to it, rightly and wrongly, as commands for model-based tests. */

import assert from 'node:assert/strict';
import type fc from 'fast-check';
import type { PageRole, PageTable, TableShape } from '../../src/cache/page-table.ts';
import type { CachePlan } from '../../src/cache/policy.ts';

/** What was done so far: all that the table depends on. */
export interface Progress {
  readonly shape: TableShape;
  readonly plan: CachePlan;
  placed: number;
  ended: number;
}

/** Page of a line, in closed form: the first lines' stay, the others take turns on `recentLines + 1` pages. */
function pageOf({ plan }: Progress, line: number): number {
  const { keptLines, recentLines } = plan;
  return line < keptLines ? line : keptLines + ((line - keptLines) % (recentLines + 1));
}

/** Lines that own their page: the rest of the image was evicted, moved, or is not drawn yet. */
function rolesOf(progress: Progress): PageRole[] {
  const { plan, ended } = progress;
  const roles = Array.from({ length: plan.budgetLines }, (): PageRole => 'free');
  for (let line = 0; line <= ended; line++) {
    if (line === ended) roles[pageOf(progress, line)] = 'current';
    else if (line >= ended - plan.recentLines) roles[pageOf(progress, line)] = 'recent';
    else if (line < plan.keptLines) roles[line] = 'kept';
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
  assert.deepEqual([table.placed, table.hasEvicted], [placed, ended >= progress.plan.budgetLines]);
}

function placeOne(progress: Progress, table: PageTable): void {
  const { shape, placed, ended } = progress;
  const page = pageOf(progress, ended);
  const column = placed - ended * shape.lineLength;
  const live = rolesOf(progress).flatMap((role, p) =>
    role === 'free' ? [] : slotsOf(shape, p).slice(0, p === page ? column + 1 : shape.lineLength),
  );

  const { slot, extent, deadFrom, deadTo, ...told } = table.place();
  progress.placed++;

  const endsLine = column === shape.lineLength - 1 && ended < shape.lines - 1;
  assert.deepEqual(told, { token: placed, line: ended, column, endsLine });
  assert.equal(slot, slotsOf(shape, page)[column]);
  const toldLive = Array.from({ length: extent }, (_, s) => s).filter((s) => s < deadFrom || s >= deadTo);
  const condition = Array.from({ length: shape.conditionTokens }, (_, s) => s);
  assert.deepEqual(toldLive, [...condition, ...live]);
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
  const leavingSlot = slotsOf(shape, leaving)[0];
  const isFirst = progress.ended === plan.budgetLines;
  assert.deepEqual(end, { kind: 'evict', leavingPage: leaving, leavingSlot, isFirst });
  assert.equal(table.currentPage, leaving);
}

export type Command = fc.Command<Progress, PageTable>;

export class Place implements Command {
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

export class EndLine implements Command {
  check = (progress: Readonly<Progress>) => lineIsFull(progress) && progress.ended < progress.shape.lines - 1;
  run(progress: Progress, table: PageTable): void {
    endOne(progress, table);
    checkTable(progress, table);
  }
  toString = () => 'end line';
}

export class DrawLines implements Command {
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

export class Reset implements Command {
  check = () => true;
  run(progress: Progress, table: PageTable): void {
    table.reset();
    progress.placed = 0;
    progress.ended = 0;
    checkTable(progress, table);
  }
  toString = () => 'reset';
}

export class PlaceWrongly implements Command {
  check = (progress: Readonly<Progress>) => lineIsFull(progress);
  run(progress: Progress, table: PageTable): void {
    assert.throws(() => table.place(), /^Error: internal: place: token/);
    checkTable(progress, table);
  }
  toString = () => 'place into a full line';
}

export class EndLineWrongly implements Command {
  check = (progress: Readonly<Progress>) => !lineIsFull(progress) || progress.ended === progress.shape.lines - 1;
  run(progress: Progress, table: PageTable): void {
    assert.throws(() => table.endLine(), /^Error: internal: endLine: /);
    checkTable(progress, table);
  }
  toString = () => 'end line too early, or after the last';
}
