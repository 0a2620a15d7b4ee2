/** What is remembered of one (layer, row, KV head), by definition: positions in regions, no pages. */

export interface ModelShape {
  readonly lineLength: number;
  /** Columns that a line is ahead of the one below: lines in flight are full of holes, and no candidates. */
  readonly window: number;
  readonly budgetLines: number;
  readonly recentLines: number;
  readonly anchorTokens: number;
  readonly survivors: number;
  readonly summaries: number;
}

export class StoreModel {
  /** Attention to the positions held. */
  readonly held = new Map<number, number>();
  /** Positions that each summary is the mean of. */
  readonly joined: number[][];
  /** Tokens placed of each line. */
  readonly #placed: number[] = [];

  constructor(readonly shape: ModelShape) {
    this.joined = Array.from({ length: shape.summaries }, () => []);
  }

  place(position: number): void {
    this.held.set(position, 0);
    const line = Math.floor(position / this.shape.lineLength);
    this.#placed[line] = (this.#placed[line] ?? 0) + 1;
  }

  /** Adds each position's attention. */
  accumulate(attention: (position: number) => number): void {
    for (const [position, score] of this.held) this.held.set(position, score + attention(position));
  }

  /** For policies that observe each line anew. */
  forgetAttention(): void {
    for (const position of this.held.keys()) this.held.set(position, 0);
  }

  /** Positions among which the line just placed chooses, ascending: none until the budget is full. */
  candidates(): number[] {
    const { lineLength, window, budgetLines, recentLines, anchorTokens } = this.shape;
    const inFlight = Math.ceil(lineLength / window);
    const lines = this.#placed.filter((tokens) => tokens === lineLength).length;
    if (lines < budgetLines - inFlight + 1) return [];
    const open = (lines - recentLines) * lineLength;
    return [...this.held.keys()]
      .filter((position) => position >= anchorTokens && position < open)
      .sort((a, b) => a - b);
  }

  /** Ends the line just placed, given the candidates' scores; returns the positions evicted. */
  endLine(score: (position: number) => number): number[] {
    const { lineLength, survivors, summaries } = this.shape;
    const candidates = this.candidates();
    const kept = keepBest(
      candidates.map((position) => ({ position, score: score(position) })),
      survivors,
    );
    const evicted = candidates.filter((position) => !kept.has(position));
    for (const position of evicted) {
      this.held.delete(position);
      const bin = Math.floor(((position % lineLength) * summaries) / lineLength);
      if (summaries > 0) this.joined[bin]!.push(position);
    }
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

/** Positions in slots, and the hole filling: survivors that lie elsewhere, ascending, into holes among the kept, ascending. */
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
    kept: readonly number[],
    elsewhere: readonly number[],
  ): { readonly from: number; readonly to: number }[] {
    for (const slot of [...kept, ...elsewhere]) if (evicted.has(this.slots[slot]!)) this.slots[slot] = -1;
    const holes = kept.filter((slot) => this.slots[slot] === -1);
    const movers = elsewhere.filter((slot) => this.slots[slot] !== -1);
    const moves = movers.map((from, i) => ({ from, to: holes[i]! }));
    for (const { from, to } of moves) {
      this.slots[to] = this.slots[from]!;
      this.slots[from] = -1;
    }
    return moves;
  }
}
