/**
 * Which page of the ring plays which role. Plain integers: the CPU knows all of this without the scores.
 *
 * A page is one line of slots, for every layer, row and KV head. Slots [0, condition) hold the condition; page p holds
 * slots condition + p · lineLength and on. Pages are taken in order until none is free; from then on every line end frees
 * exactly one, which is the next line's. A line ends for the table when another begins and as many are in flight as may be.
 *
 * The one place that counts steps and lines: they come in the order of the wavefront, and nobody says which is next.
 */

import { assert } from '../tensor/errors.ts';
import type { StepPlace } from './observation.ts';
import type { CachePlan } from './policy.ts';
import { type Lane, lanesAt, linesInFlight, mostLanes, stepsOf, type Wave } from './wavefront.ts';

export type PageRole = 'free' | 'kept' | 'recent' | 'current';

export interface TableShape {
  readonly lines: number;
  readonly lineLength: number;
  readonly conditionTokens: number;
  /** Id of the token that ends every line; absent where there is none. */
  readonly lineEnd?: number;
}

/** A token that a step feeds, and where it goes. */
export interface PlacedLane extends Lane {
  readonly slot: number;
  /** Slots [first, end) are the page of its line; both 0 for a stand-in, whose line has no page yet. */
  readonly first: number;
  readonly end: number;
}

/** Where the tokens of a step go. `isLive` says what each of them sees. */
export interface Placement extends StepPlace {
  readonly lanes: readonly PlacedLane[];
  /** No slot from here on is live for any of them. */
  readonly extent: number;
  /** Whether a line begins with it, so that `endLine` comes next. */
  readonly endsLine: boolean;
}

/** Slots that lane number `own` of a step sees: lines in flight up to its own as far as they are fed, itself included. */
export function isLive({ lanes, extent }: Placement, own: number, slot: number): boolean {
  const isDead = ({ slot: newest, first, end }: PlacedLane, lane: number) =>
    slot >= (lane <= own ? newest + 1 : first) && slot < end;
  return slot < extent && (slot === lanes[own]?.slot || !lanes.some(isDead));
}

/** What a line's end does. `evict`: survivors of the leaving page move among the kept slots, and the page is freed. */
export type LineEnd =
  | { readonly kind: 'none' }
  | {
      readonly kind: 'evict';
      /** The page freed, and its first slot. */
      readonly leavingPage: number;
      readonly leavingSlot: number;
      /** Whether the kept slots are evicted from for the first time: until then the summaries' hold tokens. */
      readonly isFirst: boolean;
    };

export class PageTable {
  readonly #wave: Wave;
  readonly #roles: PageRole[];
  /** Pages of whole recent lines, oldest first. */
  #recent: number[] = [];
  /** Pages of lines in flight, oldest first. */
  #current: number[] = [];
  /** Lines that have, or had, a page. */
  #begun = 0;
  #usedPages = 0;
  #steps = 0;
  /** True between the step that begins a line and `endLine`. */
  #lineBegins = false;
  #hasEvicted = false;

  constructor(
    private readonly plan: CachePlan,
    private readonly shape: TableShape,
  ) {
    const { lines, lineLength, lineEnd } = shape;
    this.#wave = { lines, lineLength, window: plan.window, hasLineEnd: lineEnd !== undefined };
    this.#roles = Array.from({ length: plan.budgetLines }, () => 'free');
    this.reset();
  }

  /** The role of every page. */
  get roles(): readonly PageRole[] {
    return this.#roles;
  }

  /** Pages of whole recent lines, oldest first. */
  get recentPages(): readonly number[] {
    return this.#recent;
  }

  /** Pages of lines in flight, oldest first. */
  get currentPages(): readonly number[] {
    return this.#current;
  }

  /** Steps placed so far, the prefill not counted. */
  get steps(): number {
    return this.#steps;
  }

  /** Tokens that a step feeds of an image, at most. */
  get mostLanes(): number {
    return mostLanes(this.#wave);
  }

  /** What the next step feeds and draws. */
  get next(): readonly Lane[] {
    return lanesAt(this.#wave, this.#steps + 1);
  }

  /** Whether a line end has evicted: from then on the summaries' slots hold summaries. */
  get hasEvicted(): boolean {
    return this.#hasEvicted;
  }

  /** How many slots hold a live image token; the condition's are not counted. */
  get liveSlots(): number {
    const whole = (this.#usedPages - this.#current.length) * this.shape.lineLength;
    return this.#current.reduce((sum, _, i) => sum + this.#fedOf(this.#oldestLine + i), whole);
  }

  /** Whether a token of the image is fed. */
  isFed(token: number): boolean {
    const { lineLength } = this.shape;
    return token % lineLength < this.#fedOf(Math.floor(token / lineLength));
  }

  /** Whether a slot holds the condition, a live token or a summary. */
  isHeld(slot: number): boolean {
    const { lineLength, conditionTokens } = this.shape;
    if (slot < conditionTokens) return true;
    const page = Math.floor((slot - conditionTokens) / lineLength);
    if (this.#roles[page] !== 'current') return page < this.#usedPages;
    return slot - this.#firstSlot(page) < this.#fedOf(this.#oldestLine + this.#current.indexOf(page));
  }

  /** Places the tokens of the next step; `endLine` comes after a step that begins a line. */
  place(): Placement {
    const { lines, lineLength } = this.shape;
    const { window } = this.plan;
    const step = this.#steps + 1;
    assert(!this.#lineBegins, `place: step ${step} before the end of the line`);
    assert(step <= stepsOf(this.#wave), `place: step ${step} after the last`);
    const lanes = this.next.map((lane) => this.#placed(lane));
    const nextLine = Math.ceil(step / window);
    this.#steps = step;
    this.#lineBegins = step === nextLine * window && nextLine < lines;
    const ends = Array.from({ length: this.#usedPages }, (_, page) => {
      const first = this.#firstSlot(page);
      const fed = lanes.find((lane) => lane.first === first && lane.end > 0);
      return fed ? fed.slot + 1 : first + lineLength;
    });
    return {
      ...{ step, nextLine, since: step - 1 - (nextLine - 1) * window, lanes },
      extent: Math.max(...ends, ...lanes.map(({ slot }) => slot + 1)),
      endsLine: this.#lineBegins,
    };
  }

  /** Places all tokens of a line that are fed, for steps that feed several of them; gives the placement of the last. */
  placeLine(): Placement {
    let placed = this.place();
    while (!placed.endsLine && this.#steps + 1 < stepsOf(this.#wave)) placed = this.place();
    return placed;
  }

  /** Makes room for the line that begins: of as many lines in flight as there may be, the oldest is whole, and joins the recent. */
  endLine(): LineEnd {
    assert(this.#lineBegins, 'endLine: no line begins');
    this.#lineBegins = false;
    if (this.#current.length === linesInFlight(this.#wave)) {
      const whole = this.#current.shift()!; // there is one at least
      this.#roles[whole] = 'recent';
      this.#recent.push(whole);
    }
    const leaving = this.#recent.length > this.plan.recentLines ? this.#recent.shift() : undefined;
    if (this.#usedPages < this.#roles.length) {
      if (leaving !== undefined) this.#roles[leaving] = 'kept';
      this.#open(this.#usedPages++);
      return { kind: 'none' };
    }
    assert(leaving !== undefined, 'endLine: no page is free and none leaves');
    this.#open(leaving);
    const isFirst = !this.#hasEvicted;
    this.#hasEvicted = true;
    return { kind: 'evict', leavingPage: leaving, leavingSlot: this.#firstSlot(leaving), isFirst };
  }

  /** As new. */
  reset(): void {
    this.#roles.fill('free');
    this.#recent = [];
    this.#current = [];
    this.#begun = 0;
    this.#steps = 0;
    this.#lineBegins = false;
    this.#hasEvicted = false;
    this.#usedPages = 1;
    this.#open(0);
  }

  get #oldestLine(): number {
    return this.#begun - this.#current.length;
  }

  #placed(lane: Lane): PlacedLane {
    const { lineLength } = this.shape;
    const isStandIn = lane.line === this.#begun;
    const page = this.#current[lane.line - this.#oldestLine - (isStandIn ? 1 : 0)];
    assert(page !== undefined, `place: line ${lane.line} has no page`);
    const first = this.#firstSlot(page);
    const slot = first + (lane.token % lineLength);
    return isStandIn ? { ...lane, slot, first: 0, end: 0 } : { ...lane, slot, first, end: first + lineLength };
  }

  /** Tokens of a line that are fed. */
  #fedOf(line: number): number {
    return Math.min(Math.max(this.#steps - line * this.plan.window, 0), this.shape.lineLength);
  }

  #firstSlot(page: number): number {
    return this.shape.conditionTokens + page * this.shape.lineLength;
  }

  #open(page: number): void {
    this.#current.push(page);
    this.#begun++;
    this.#roles[page] = 'current';
  }
}
