/** What is remembered of one (layer, row, KV head), by definition: positions in regions, no pages. */

export interface ModelShape {
  readonly lines: number;
  readonly lineLength: number;
  readonly budgetLines: number;
  readonly anchorLines: number;
  readonly recentLines: number;
  readonly middleLines: number;
}

export class StoreModel {
  /** Scores of the positions held. */
  readonly held = new Map<number, number>();
  readonly #middle = new Set<number>();
  #placed = 0;

  constructor(readonly shape: ModelShape) {}

  place(position: number): void {
    this.held.set(position, 0);
    this.#placed++;
  }

  /** Adds each position's attention. */
  accumulate(attention: (position: number) => number): void {
    for (const [position, score] of this.held) this.held.set(position, score + attention(position));
  }

  /** Ends the line just placed; returns the positions evicted. */
  endLine(): number[] {
    const { lineLength, budgetLines, anchorLines, recentLines, middleLines } = this.shape;
    const finished = this.#placed / lineLength - 1;
    const leaving = finished - recentLines;
    const evicted: number[] = [];
    if (leaving >= anchorLines) {
      for (let column = 0; column < lineLength; column++) this.#middle.add(leaving * lineLength + column);
      if (finished + 1 >= budgetLines) {
        const kept = keepBest(
          [...this.#middle].map((position) => ({ position, score: this.held.get(position)! })),
          middleLines * lineLength,
        );
        for (const position of this.#middle) if (!kept.has(position)) evicted.push(position);
        for (const position of evicted) {
          this.#middle.delete(position);
          this.held.delete(position);
        }
      }
    }
    for (const position of this.held.keys()) this.held.set(position, 0);
    return evicted;
  }
}

/** The `count` best by score; ties go to the later position. */
export function keepBest(
  candidates: readonly { readonly position: number; readonly score: number }[],
  count: number,
): Set<number> {
  const sorted = [...candidates].sort((a, b) => b.score - a.score || b.position - a.position);
  return new Set(sorted.slice(0, count).map(({ position }) => position));
}

/** Positions in slots, and the hole filling: survivors of the leaving page, ascending, into holes of the middle, ascending. */
export class SlotModel {
  /** -1 where nothing live is. */
  readonly slots: number[];

  constructor(count: number) {
    this.slots = Array.from({ length: count }, () => -1);
  }

  /**
   * Evicts, then moves; returns the moves. The slots of both regions are ascending. Which survivor takes which hole is free
   * by the algorithm; this order is the one that the GPU uses. (ours)
   */
  fill(
    evicted: ReadonlySet<number>,
    middle: readonly number[],
    leaving: readonly number[],
  ): { readonly from: number; readonly to: number }[] {
    for (const slot of [...middle, ...leaving]) if (evicted.has(this.slots[slot]!)) this.slots[slot] = -1;
    const holes = middle.filter((slot) => this.slots[slot] === -1);
    const movers = leaving.filter((slot) => this.slots[slot] !== -1);
    const moves = movers.map((from, i) => ({ from, to: holes[i]! }));
    for (const { from, to } of moves) {
      this.slots[to] = this.slots[from]!;
      this.slots[from] = -1;
    }
    return moves;
  }
}
