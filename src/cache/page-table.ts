/**
 * Which page of the ring plays which role. Plain integers: the CPU knows all of this without the scores.
 *
 * A page is one line of slots, for every layer, row and KV head. Slots [0, condition) hold the condition; page p holds
 * slots condition + p · lineLength and on. Pages are taken in order until none is free; from then on every line end frees
 * exactly one, which is the next line's.
 */

import { assert } from '../tensor/errors.ts';
import type { CachePlan } from './policy.ts';

export type PageRole = 'free' | 'kept' | 'recent' | 'current';

export interface TableShape {
  readonly lines: number;
  readonly lineLength: number;
  readonly conditionTokens: number;
}

/** Where a token goes. A slot s is live after it when s < extent and not deadFrom <= s < deadTo. */
export interface Placement {
  readonly slot: number;
  readonly extent: number;
  readonly deadFrom: number;
  readonly deadTo: number;
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

const NOTHING: Placement = { slot: 0, extent: 0, deadFrom: 0, deadTo: 0 };

export class PageTable {
  readonly #roles: PageRole[];
  /** Pages of whole recent lines, oldest first. */
  #recent: number[] = [];
  #current = 0;
  #usedPages = 0;
  #placed = 0;
  #placement: Placement = NOTHING;
  /** True between the last token of a line and `endLine`. */
  #lineIsFull = false;

  constructor(
    private readonly plan: CachePlan,
    private readonly shape: TableShape,
  ) {
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

  get currentPage(): number {
    return this.#current;
  }

  /** Tokens of the image that were placed, and where the last of them went. */
  get placed(): number {
    return this.#placed;
  }
  get placement(): Placement {
    return this.#placement;
  }

  /** How many slots hold a live image token; the condition's are not counted. */
  get liveSlots(): number {
    const { lineLength } = this.shape;
    const inLine = this.#lineIsFull ? lineLength : this.#placed % lineLength;
    return (this.#usedPages - 1) * lineLength + inLine;
  }

  /** Places token `token` of the image. Tokens come in raster order, and `endLine` between lines. */
  place(token: number): Placement {
    const { lineLength, conditionTokens } = this.shape;
    assert(token === this.#placed, `place: token ${token} after ${this.#placed} tokens`);
    assert(!this.#lineIsFull, `place: token ${token} before the end of the line`);
    const column = token % lineLength;
    const first = conditionTokens + this.#current * lineLength;
    const slot = first + column;
    const extent = conditionTokens + this.#usedPages * lineLength;
    this.#placed++;
    this.#lineIsFull = column === lineLength - 1;
    this.#placement =
      this.#current === this.#usedPages - 1
        ? { slot, extent: slot + 1, deadFrom: 0, deadTo: 0 }
        : { slot, extent, deadFrom: slot + 1, deadTo: first + lineLength };
    return this.#placement;
  }

  /** Ends the line whose last token was placed, and opens the next line's page. Not for the last line of the image. */
  endLine(): LineEnd {
    const { lines, lineLength, conditionTokens } = this.shape;
    assert(this.#lineIsFull, 'endLine: the line is not full');
    assert(this.#placed < lines * lineLength, `endLine: line ${lines - 1} is the last`);
    this.#lineIsFull = false;
    this.#roles[this.#current] = 'recent';
    this.#recent.push(this.#current);
    const leaving = this.#recent.length > this.plan.recentLines ? this.#recent.shift() : undefined;
    if (this.#usedPages < this.#roles.length) {
      if (leaving !== undefined) this.#roles[leaving] = 'kept';
      this.#open(this.#usedPages++);
      return { kind: 'none' };
    }
    assert(leaving !== undefined, 'endLine: no page is free and none leaves');
    this.#open(leaving);
    return {
      kind: 'evict',
      leavingPage: leaving,
      leavingSlot: conditionTokens + leaving * lineLength,
      isFirst: this.#placed === this.#roles.length * lineLength,
    };
  }

  /** As new. */
  reset(): void {
    this.#roles.fill('free');
    this.#recent = [];
    this.#placed = 0;
    this.#placement = NOTHING;
    this.#lineIsFull = false;
    this.#usedPages = 1;
    this.#open(0);
  }

  #open(page: number): void {
    this.#current = page;
    this.#roles[page] = 'current';
  }
}
