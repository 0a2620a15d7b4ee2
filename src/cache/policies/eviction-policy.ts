/** What tells one policy from another. The store keeps the mechanics: paging, moving, summaries. */

/** An image and how much of it may be remembered. */
export interface Budget {
  readonly lines: number;
  readonly lineLength: number;
  /** Lines held at any step, the one being drawn included. */
  readonly budgetLines: number;
  /** Newest whole lines that stay at least. */
  readonly recentLines: number;
}

/** The same with the anchors: what the caller gave, else the policy's own. */
export interface Pinned extends Budget {
  readonly anchorTokens: number;
}

/** Whose attention the candidates' is the sum of: of the line just finished, of all so far, of the line's last n tokens. */
export type Observation = 'nothing' | { readonly queries: 'line' | 'image' | number };

/**
 * A rule for what to forget. Between the condition and the newest lines lie the kept slots: first the anchors (the image's
 * first tokens, which always stay), last the summaries, and between them the candidates that score best.
 *
 * All layers have the same budget, unlike in PyramidKV (arXiv 2406.02069): one page table and one uniform of a step serve them
 * all. Budgets of their own would cost every policy a table, an upload a token and a count of slots for each layer.
 *
 * @example
 * // keep what the line just finished looked at, weighted by how far from zero its keys are
 * const keen: EvictionPolicy = {
 *   name: 'keen',
 *   observe: { queries: 'line' },
 *   score: `
 *     fn score(c: Candidate) -> f32 {
 *       var squares = 0.0;
 *       for (var i = 0u; i < VEC4S; i++) { let k = keyOf(c, i); squares += dot(k, k); }
 *       return c.attention * sqrt(squares);
 *     }`,
 * };
 * await generate(model, { prompt: { classes: [187] }, cache: { policy: keen, budgetLines: 4 } });
 */
export interface EvictionPolicy {
  /** For messages and listings. */
  readonly name: string;
  /** True when nothing is ever evicted. */
  readonly keepsAll?: boolean;
  /** First tokens of the image that always stay, where `cache.anchorTokens` does not say. Default 0. */
  readonly anchorTokens?: (budget: Budget) => number;
  /** Summary slots of a layer, row and KV head, where `cache.summaries` does not say. Default 0. */
  readonly summaries?: (pinned: Pinned) => number;
  /** Newest whole lines that always stay; what is left of the budget is kept by score. Default: `cache.recentLines`. */
  readonly recent?: (pinned: Pinned & { readonly summaries: number }) => number;
  /** Default of `cache.rowScope`. */
  readonly rowScope?: 'row' | 'image';
  readonly observe: Observation | ((budget: Budget) => Observation);
  /**
   * WGSL that defines `fn score(c: Candidate) -> f32`; the highest stay, and among equals the later token. At hand:
   *
   *     struct Candidate { index: u32, token: u32, line: u32, column: u32, attention: f32 }   // token of the image
   *     fn candidates() -> u32                    // how many there are
   *     fn candidate(index: u32) -> Candidate     // each of them
   *     fn keyOf(c: Candidate, i: u32) -> vec4f   // channels 4 i and on of its key, as turned by RoPE; i < VEC4S
   *     fn valueOf(c: Candidate, i: u32) -> vec4f
   *     fn cellOf() -> vec2u                      // layer, KV head: not the row, as an image does not depend on its batch
   *
   * `attention` is there only if the policy observes any.
   */
  readonly score: string;
}
