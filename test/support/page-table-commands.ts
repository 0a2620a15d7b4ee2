/** The page table by definition, and what can be done to it, rightly and wrongly, as commands for model-based tests. */

import assert from 'node:assert/strict';
import type fc from 'fast-check';
import { isLive, type PageRole, type PageTable, type Placement, type TableShape } from '../../src/cache/page-table.ts';
import type { CachePlan } from '../../src/cache/policy.ts';

/** What was done so far: all that the table depends on. */
export interface Progress {
  readonly shape: TableShape;
  readonly plan: CachePlan;
  /** Steps placed, and lines ended. */
  placed: number;
  ended: number;
}

function inFlight({ shape, plan }: Progress): number {
  return Math.ceil(shape.lineLength / plan.window);
}

/** Page of a line, in closed form: the first lines' stay, the others take turns on those of recent lines and lines in flight. */
function pageOf(progress: Progress, line: number): number {
  const { keptLines, recentLines } = progress.plan;
  return line < keptLines ? line : keptLines + ((line - keptLines) % (recentLines + inFlight(progress)));
}

/** Lines that own their page: the rest of the image was evicted, moved, or has not begun. */
function rolesOf(progress: Progress): PageRole[] {
  const { plan, ended } = progress;
  const roles = Array.from({ length: plan.budgetLines }, (): PageRole => 'free');
  const oldest = ended - inFlight(progress) + 1;
  for (let line = 0; line <= ended; line++) {
    if (line >= oldest) roles[pageOf(progress, line)] = 'current';
    else if (line >= oldest - plan.recentLines) roles[pageOf(progress, line)] = 'recent';
    else if (line < plan.keptLines) roles[line] = 'kept';
  }
  return roles;
}

/** Tokens of a line that are fed after so many steps. */
function fedOf({ shape, plan }: Progress, line: number, steps: number): number {
  return Math.min(Math.max(steps - line * plan.window, 0), shape.lineLength);
}

/** Whether a place is drawn before a step. */
function drawnBefore({ shape, plan }: Progress, place: number, step: number): boolean {
  return Math.floor(place / shape.lineLength) * plan.window + (place % shape.lineLength) < step;
}

/** Whether a line has begun and has no page yet. */
function lineBegins({ placed, ended, shape, plan }: Progress): boolean {
  return placed === (ended + 1) * plan.window && ended < shape.lines - 1;
}

function stepsIn({ shape, plan }: Progress): number {
  return shape.lineLength + (shape.lines - 1) * plan.window;
}

function isDone(progress: Progress): boolean {
  return progress.placed === stepsIn(progress);
}

function checkTable(progress: Progress, table: PageTable): void {
  const { shape, placed, ended } = progress;
  const roles = rolesOf(progress);
  assert.deepEqual(table.roles, roles);
  const current = Array.from({ length: ended + 1 }, (_, line) => pageOf(progress, line)).slice(-inFlight(progress));
  assert.deepEqual(table.currentPages, current);
  const held = roles.flatMap((role, page) => {
    const line = current.indexOf(page) + Math.max(0, ended + 1 - inFlight(progress));
    if (role === 'free') return [];
    return slotsOf(shape, page).slice(0, role === 'current' ? fedOf(progress, line, placed) : shape.lineLength);
  });
  const slots = shape.conditionTokens + roles.length * shape.lineLength;
  const told = Array.from({ length: slots }, (_, slot) => slot).filter((slot) => table.isHeld(slot));
  assert.deepEqual(told.slice(shape.conditionTokens), held);
  assert.equal(table.liveSlots, held.length);
  assert.deepEqual([table.steps, table.hasEvicted], [placed, ended >= progress.plan.budgetLines]);
}

function placeOne(progress: Progress, table: PageTable): void {
  const placement = table.place();
  progress.placed++;

  checkPlacement(progress, placement);
}

/** Of the newest step. */
function checkPlacement(progress: Progress, placement: Placement): void {
  const { shape, plan, placed: step } = progress;
  const { lines, lineLength } = shape;
  const { window } = plan;
  const { lanes, endsLine, nextLine, since, step: told } = placement;

  assert.deepEqual([told, nextLine, (nextLine - 1) * window + 1 + since], [step, Math.ceil(step / window), step]);
  assert.equal(endsLine, step % window === 0 && step / window < lines);
  // line x is fed column c in step x · window + c + 1
  const fed = Array.from({ length: lines }, (_, line) => ({ line, column: step - line * window - 1 })).filter(
    ({ column }) => column >= 0 && column < lineLength,
  );
  const begins = window < lineLength && endsLine ? [{ line: step / window, column: -1 }] : [];
  const places = [...fed, ...begins].map(({ line, column }) => ({ line, token: line * lineLength + column }));
  assert.deepEqual(
    lanes.map(({ line, token }) => ({ line, token })),
    places,
  );
  for (const [own, { line, token, draws, source, slot }] of lanes.entries()) {
    const isStandIn = token < line * lineLength;
    const isLast = (token + 1) % lineLength === 0 && (window < lineLength || token + 1 === lines * lineLength);
    assert.equal(draws, isLast && !isStandIn ? undefined : token + 1);
    const page = pageOf(progress, isStandIn ? line - 1 : line);
    assert.equal(slot, slotsOf(shape, page)[token % lineLength]);
    if (isStandIn) assert.ok(source < token ? drawnBefore(progress, source, step) : shape.lineEnd !== undefined);
    else assert.equal(source, token);
    const slots = slotsIn(progress);
    const seen = slots.filter((s) => isLive(placement, own, s));
    assert.deepEqual(seen, liveFor(progress, { line, slot, step }));
  }
}

function slotsIn({ shape, plan }: Progress): number[] {
  return [...Array(shape.conditionTokens + plan.budgetLines * shape.lineLength).keys()];
}

/** Slots that a token of a line sees which a step feeds, by definition. */
function liveFor(
  progress: Progress,
  { line, slot, step }: { readonly line: number; readonly slot: number; readonly step: number },
): number[] {
  const { shape, plan, ended } = progress;
  const roles = rolesOf(progress);
  const live = new Set([...Array(shape.conditionTokens).keys(), slot]);
  for (let x = 0; x <= Math.min(line, ended); x++) {
    const p = pageOf(progress, x);
    // the newest line on a page owns it
    const isOwner = x > ended - plan.recentLines - inFlight(progress) && roles[p] !== 'free';
    if (x < plan.keptLines ? roles[x] !== 'free' : isOwner)
      for (const s of slotsOf(shape, p).slice(0, fedOf(progress, x, step))) live.add(s);
  }
  return [...live].sort((a, b) => a - b);
}

function slotsOf({ conditionTokens, lineLength }: TableShape, page: number): number[] {
  return Array.from({ length: lineLength }, (_, column) => conditionTokens + page * lineLength + column);
}

function endOne(progress: Progress, table: PageTable): void {
  const { shape, plan } = progress;
  const leaving = pageOf(progress, progress.ended + 1 - inFlight(progress) - plan.recentLines);
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
  assert.equal(table.currentPages.at(-1), leaving);
}

export type Command = fc.Command<Progress, PageTable>;

export class Place implements Command {
  constructor(readonly count: number) {}
  check = (progress: Readonly<Progress>) => !lineBegins(progress) && !isDone(progress);
  run(progress: Progress, table: PageTable): void {
    for (let i = 0; i < this.count && !lineBegins(progress) && !isDone(progress); i++) {
      placeOne(progress, table);
      checkTable(progress, table);
    }
  }
  toString = () => `place ${this.count}`;
}

/** For drafts: where each token of the line goes, and what it sees, follows from where the last does. */
export class PlaceLine implements Command {
  check = (progress: Readonly<Progress>) => !lineBegins(progress) && progress.placed < stepsIn(progress) - 1;
  run(progress: Progress, table: PageTable): void {
    const { shape, plan, placed, ended } = progress;
    const placement = table.placeLine();
    progress.placed = ended < shape.lines - 1 ? (ended + 1) * plan.window : stepsIn(progress) - 1;
    checkPlacement(progress, placement);
    checkTable(progress, table);
    const { lanes, extent } = placement;
    const last = lanes[0]!;
    if (plan.window < shape.lineLength) return;
    for (let step = placed + 1; step <= progress.placed; step++) {
      const token = step - 1;
      const slot = last.slot - last.token + token;
      assert.equal(slot, slotsOf(shape, pageOf(progress, last.line))[token % shape.lineLength]);
      const seen = slotsIn(progress).filter((s) => s < extent && !(s > slot && s < last.end));
      assert.deepEqual(seen, liveFor(progress, { line: last.line, slot, step }));
    }
  }
  toString = () => 'place the line';
}

export class EndLine implements Command {
  check = (progress: Readonly<Progress>) => lineBegins(progress);
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
      if (lineBegins(progress)) new EndLine().run(progress, table);
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
  check = (progress: Readonly<Progress>) => lineBegins(progress) || isDone(progress);
  run(progress: Progress, table: PageTable): void {
    assert.throws(() => table.place(), /^Error: internal: place: step/);
    checkTable(progress, table);
  }
  toString = () => 'place into a full line';
}

export class EndLineWrongly implements Command {
  check = (progress: Readonly<Progress>) => !lineBegins(progress);
  run(progress: Progress, table: PageTable): void {
    assert.throws(() => table.endLine(), /^Error: internal: endLine: /);
    checkTable(progress, table);
  }
  toString = () => 'end line too early, or after the last';
}
