/** What the store forgets, by name: options as a caller gives them, and the plan they come to for an image. */

import { OptionError } from '../tensor/errors.ts';
import { type EvictionPolicy, POLICIES, type PolicyName } from './policies/index.ts';

export type { PolicyName };

/** How many lines of the image are remembered, and which. */
export interface CacheOptions {
  /** Default: `line-ar` when `budgetLines` is given, else `full`. */
  readonly policy?: PolicyName;
  /** Most lines of the image held at any step, the one being drawn included. Default: all. */
  readonly budgetLines?: number;
  /** First lines that are never evicted. Default 1. (ours) */
  readonly anchorLines?: number;
  /** Newest whole lines that are never evicted. Default 1. (ours) */
  readonly recentLines?: number;
  /** Whether each KV head keeps its own tokens, or all heads of a layer the same. Default `head`. (ours) */
  readonly scoreScope?: 'head' | 'layer';
}

/** Options resolved for an image of some number of lines. */
export interface CachePlan {
  readonly policy: PolicyName;
  /** Pages of the store: never more than the image has lines. */
  readonly budgetLines: number;
  readonly anchorLines: number;
  readonly recentLines: number;
  /** Lines' worth of survivors between the anchors and the recent lines. */
  readonly middleLines: number;
  /** Whether attention is summed into scores: only where there is something to choose. */
  readonly scored: boolean;
  readonly scoreScope: 'head' | 'layer';
}

/**
 * Resolves options for an image of `lines` lines.
 *
 * Throws OptionError for a policy without that name, for counts that are not whole, and for a budget below
 * `anchorLines + recentLines + 1`.
 *
 * @example
 * const { policy, middleLines } = planCache({ budgetLines: 6 }, 24); // line-ar, 3
 */
export function planCache(options: CacheOptions, lines: number): CachePlan {
  const name = options.policy ?? (options.budgetLines === undefined ? 'full' : 'line-ar');
  if ((name as string) === 'linear') throw new OptionError("cache.policy: expected line-ar, got its old name 'linear'");
  const policy: EvictionPolicy | undefined = Object.hasOwn(POLICIES, name) ? POLICIES[name] : undefined;
  if (!policy)
    throw new OptionError(`cache.policy: expected one of ${Object.keys(POLICIES).join(', ')}, got ${String(name)}`);
  const anchorLines = whole('anchorLines', options.anchorLines ?? 1, 0);
  const recentLines = whole('recentLines', options.recentLines ?? 1, 0);
  const scoreScope = options.scoreScope ?? 'head';
  if (scoreScope !== 'head' && scoreScope !== 'layer') {
    throw new OptionError(`cache.scoreScope: expected head or layer, got ${String(scoreScope)}`);
  }
  const budget = whole('budgetLines', options.budgetLines ?? lines, 1);
  const keepsAll = policy.keepsAll || budget >= lines;
  if (policy.keepsAll && budget < lines) {
    throw new OptionError(
      `cache.budgetLines: expected none, or at least ${lines} with policy ${name}, got ${budget}; use policy line-ar`,
    );
  }
  const least = anchorLines + recentLines + 1;
  if (!keepsAll && budget < least) {
    throw new OptionError(
      `cache.budgetLines: expected at least ${least} (${anchorLines} anchor + ${recentLines} recent + the line being drawn), got ${budget}; raise it, or lower cache.anchorLines or cache.recentLines`,
    );
  }
  const middleLines = keepsAll ? 0 : policy.middleLines({ budgetLines: budget, anchorLines, recentLines });
  return {
    policy: name,
    budgetLines: Math.min(budget, lines),
    anchorLines,
    recentLines: keepsAll ? lines : budget - anchorLines - middleLines - 1,
    middleLines,
    scored: middleLines > 0,
    scoreScope,
  };
}

function whole(name: string, value: number, least: number): number {
  if (Number.isSafeInteger(value) && value >= least) return value;
  throw new OptionError(`cache.${name}: expected a whole number from ${least}, got ${value}`);
}
