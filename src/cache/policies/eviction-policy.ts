/** What tells one policy from another; the store's mechanics are shared. */

export interface EvictionPolicy {
  /** True when nothing is ever evicted. */
  readonly keepsAll: boolean;
  /** Lines' worth of slots for survivors chosen by score; what is left of the budget goes to recent lines. */
  middleLines(budget: {
    readonly budgetLines: number;
    readonly anchorLines: number;
    readonly recentLines: number;
  }): number;
}
