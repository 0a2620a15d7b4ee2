/**
 * Which page of the ring plays which role. Plain integers: the CPU knows all of this without the scores.
 *
 * A page is one line of slots, for every layer, row and KV head. Slots [0, condition) hold the condition; page p holds
 * slots condition + p · lineLength and on. Pages are taken in order until none is free; from then on every line end frees
 * exactly one, which is the next line's.
 *
 * The one place that counts tokens and lines: they come in raster order, and nobody says which is next.
 */

import { assert } from '../tensor/errors.ts';
import type { CachePlan } from './policy.ts';

export type PageRole = 'free' | 'kept' | 'recent' | 'current';

export interface TableShape {
  readonly lines: number;
  readonly lineLength: number;
  readonly conditionTokens: number;
}

/** A slot s is live when s < extent and not deadFrom <= s < deadTo. */
export interface Live {
  readonly extent: number;
  readonly deadFrom: number;
  readonly deadTo: number;
}

/** Which token is placed, where it goes, and what is live after it. */
export interface Placement extends Live {
  /** Of the image, and where that is. */
  readonly token: number;
  readonly line: number;
  readonly column: number;
  /** Whether it fills a line that another follows, so that `endLine` comes next. */
  readonly endsLine: boolean;
  readonly slot: number;
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

const NOTHING: Live = { extent: 0, deadFrom: 0, deadTo: 0 };

export class PageTable {
  readonly #roles: PageRole[];
  /** Pages of whole recent lines, oldest first. */
  #recent: number[] = [];
  #current = 0;
  #usedPages = 0;
  #placed = 0;
  #live = NOTHING;
  /** True between the last token of a line and `endLine`. */
  #lineIsFull = false;
  #hasEvicted = false;

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

  /** Tokens of the image that were placed, and which slots the last of them saw. */
  get placed(): number {
    return this.#placed;
  }
  get live(): Live {
    return this.#live;
  }

  /** Whether a line end has evicted: from then on the summaries' slots hold summaries. */
  get hasEvicted(): boolean {
    return this.#hasEvicted;
  }

  /** How many slots hold a live image token; the condition's are not counted. */
  get liveSlots(): number {
    const { lineLength } = this.shape;
    const inLine = this.#lineIsFull ? lineLength : this.#placed % lineLength;
    return (this.#usedPages - 1) * lineLength + inLine;
  }

  /** Places the next token of the image; `endLine` comes between lines. */
  place(): Placement {
    const { lines, lineLength, conditionTokens } = this.shape;
    const token = this.#placed;
    assert(!this.#lineIsFull, `place: token ${token} before the end of the line`);
    const line = Math.floor(token / lineLength);
    const column = token % lineLength;
    const first = conditionTokens + this.#current * lineLength;
    const slot = first + column;
    this.#placed++;
    this.#lineIsFull = column === lineLength - 1;
    const at = { token, line, column, endsLine: this.#lineIsFull && line < lines - 1, slot };
    this.#live =
      this.#current === this.#usedPages - 1
        ? { extent: slot + 1, deadFrom: 0, deadTo: 0 }
        : {
            extent: conditionTokens + this.#usedPages * lineLength,
            deadFrom: slot + 1,
            deadTo: first + lineLength,
          };
    return { ...at, ...this.#live };
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
    const isFirst = !this.#hasEvicted;
    this.#hasEvicted = true;
    return { kind: 'evict', leavingPage: leaving, leavingSlot: conditionTokens + leaving * lineLength, isFirst };
  }

  /** As new. */
  reset(): void {
    this.#roles.fill('free');
    this.#recent = [];
    this.#placed = 0;
    this.#live = NOTHING;
    this.#lineIsFull = false;
    this.#hasEvicted = false;
    this.#usedPages = 1;
    this.#open(0);
  }

  #open(page: number): void {
    this.#current = page;
    this.#roles[page] = 'current';
  }
}
