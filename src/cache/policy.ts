/** What the store forgets: options as a caller gives them, and the plan they come to for an image. */

import * as check from '../tensor/checks.ts';
import { OptionError } from '../tensor/errors.ts';
import { type Check, checkOptions, checkValue, type OptionTable } from '../tensor/options.ts';
import { show } from '../tensor/show.ts';
import type { EvictionPolicy, Observation } from './policies/eviction-policy.ts';
import { POLICIES, type PolicyName } from './policies/index.ts';
import { BY_AGE } from './policies/scores.ts';
import { PARALLEL, type ParallelOptions, SPECULATE, type SpeculateOptions } from './step-options.ts';
import { linesInFlight } from './wavefront.ts';

export type { EvictionPolicy, PolicyName };

/** Storage of keys and values; int8: whole numbers, with a scale for each token and KV head. */
export type KvDtype = 'f32' | 'f16' | 'int8';

/** How many lines of the image are remembered, and which. */
export interface CacheOptions {
  /** A policy by name, or one of your own. Default: `summary` when `budgetLines` is given, else `full`. */
  readonly policy?: PolicyName | EvictionPolicy;
  /** Most lines of the image held at any step, the one being drawn included. Default: all. */
  readonly budgetLines?: number;
  /** First tokens of the image that are never evicted. Default: the policy's. */
  readonly anchorTokens?: number;
  /** The same in lines. */
  readonly anchorLines?: number;
  /** Newest whole lines that are never evicted. Default 1, or the policy's. (ours) */
  readonly recentLines?: number;
  /** Slots of a layer, row and KV head, out of the budget, that hold means of what was evicted. Default: the policy's. (ours) */
  readonly summaries?: number;
  /** Whether each KV head keeps its own tokens, or all heads of a layer the same. Default `head`. (ours) */
  readonly scoreScope?: 'head' | 'layer';
  /** Whether each of an image's two rows under guidance keeps its own tokens, or both the same. Default: the policy's. (ours) */
  readonly rowScope?: 'row' | 'image';
  /** Storage of keys and values. Default: f16, or f32 where the weights are. With `int8` they take about half of f16's bytes. */
  readonly kvDtype?: KvDtype;
}

/** What a policy of one's own must have is for `findPolicy` to say, and which names there are. */
const POLICY: Check<PolicyName | EvictionPolicy> = {
  expected: 'the name of a policy, or a policy',
  fits: (value): value is PolicyName | EvictionPolicy =>
    check.text.fits(value) || (typeof value === 'object' && value !== null && 'observe' in value),
};

export const CACHE_OPTIONS: OptionTable<CacheOptions>['options'] = {
  policy: POLICY,
  budgetLines: check.whole(1),
  anchorTokens: check.whole(0),
  anchorLines: check.whole(0),
  recentLines: check.whole(0),
  summaries: check.whole(0),
  scoreScope: check.oneOf('head', 'layer'),
  rowScope: check.oneOf('row', 'image'),
  kvDtype: check.oneOf('f32', 'f16', 'int8'),
};

/** What else a plan depends on: how many tokens of an image a step feeds. */
export interface PlanSteps {
  readonly parallel?: ParallelOptions | undefined;
  readonly speculate?: SpeculateOptions | undefined;
}

const PLAN_CACHE: OptionTable<{ readonly cache: CacheOptions } & PlanSteps> = {
  place: 'planCache',
  options: {
    cache: check.required(check.nested(CACHE_OPTIONS)),
    parallel: check.nested(PARALLEL),
    speculate: check.nested(SPECULATE),
  },
};

/** The grid of an image. */
export const GRID: Check<{ readonly lines: number; readonly lineLength: number }> = {
  expected: '{ lines, lineLength } in whole numbers from 1',
  fits: (value): value is { lines: number; lineLength: number } => {
    const { lines, lineLength } = value as { lines: number; lineLength: number }; // else it throws, and does not fit
    return check.whole(1).fits(lines) && check.whole(1).fits(lineLength);
  },
};

/** Options resolved for an image. */
export interface CachePlan {
  readonly policy: EvictionPolicy;
  /** Pages of the store: never more than the image has lines. */
  readonly budgetLines: number;
  /** Columns that a line is ahead of the one below; a whole line: they are drawn one after another. */
  readonly window: number;
  /** Tokens of a line that a step feeds, all but the first of them drafts; 1: none. */
  readonly speculated: number;
  /** Newest whole lines. */
  readonly recentLines: number;
  /** Lines' worth of slots for anchors, survivors and summaries, in this order. */
  readonly keptLines: number;
  readonly anchorTokens: number;
  readonly survivors: number;
  readonly summaries: number;
  /** Whose attention is summed into scores; `nothing` where there is nothing to choose. */
  readonly observe: Observation;
  /** WGSL, see `EvictionPolicy.score`. */
  readonly score: string;
  readonly scoreScope: 'head' | 'layer';
  readonly rowScope: 'row' | 'image';
  /** Undefined: the model's. */
  readonly kvDtype: KvDtype | undefined;
}

/**
 * Resolves options for an image, whose steps feed several tokens where `parallel` or `speculate` says so.
 *
 * Throws OptionError for a policy without that name, for counts that are not whole, for a budget below the anchors' lines,
 * `recentLines` and the lines being drawn, for more summaries than the rest of the kept lines has slots, for a window
 * that is longer than a line, of queries, of columns or of drafts, and for lines in parallel together with drafts.
 *
 * @example
 * const { anchorTokens, survivors, summaries } = planCache({ budgetLines: 6 }, { lines: 24, lineLength: 24 }); // 8, 82, 6
 */
export function planCache(
  given: CacheOptions,
  grid: { readonly lines: number; readonly lineLength: number },
  steps: PlanSteps = {},
): CachePlan {
  const { parallel, speculate } = steps;
  const { cache: options } = checkOptions(PLAN_CACHE, { cache: given, parallel, speculate });
  checkValue('grid', GRID, grid);
  const { lines, lineLength } = grid;
  const ofLine = check.whole(1, lineLength);
  const window = checkValue('parallel.window', ofLine, parallel?.window ?? lineLength);
  const speculated = checkValue('speculate.tokens', ofLine, speculate?.tokens ?? 1);
  if (speculated > 1 && window < lineLength)
    throw new OptionError('speculate: expected none beside parallel, which draws another image; give one of them');
  const pace = { window, speculated };
  const policy = findPolicy(options);
  const pages = whole('budgetLines', options.budgetLines ?? lines, 1);
  // what lines in flight take beside the oldest is as if it were not there, for policies and what they divide
  const inFlight = linesInFlight({ lineLength, window });
  const budgetLines = Math.max(1, pages - inFlight + 1);
  const recentLines = whole('recentLines', options.recentLines ?? 1, 0);
  const budget = { lines, lineLength, budgetLines, recentLines };
  if (options.anchorTokens !== undefined && options.anchorLines !== undefined)
    throw new OptionError('cache.anchorLines: expected none beside cache.anchorTokens; give one of them');
  const anchorLines = options.anchorLines === undefined ? undefined : whole('anchorLines', options.anchorLines, 0);
  const anchorTokens =
    anchorLines === undefined
      ? whole('anchorTokens', options.anchorTokens ?? policy.anchorTokens?.(budget) ?? 0, 0)
      : anchorLines * lineLength;
  const pinned = { ...budget, anchorTokens };
  const summaries = whole('summaries', options.summaries ?? policy.summaries?.(pinned) ?? 0, 0);
  const scoreScope = oneOf('scoreScope', options.scoreScope ?? 'head', ['head', 'layer']);
  const rowScope = oneOf('rowScope', options.rowScope ?? policy.rowScope ?? 'row', ['row', 'image']);
  const observe = typeof policy.observe === 'function' ? policy.observe(budget) : policy.observe;
  expectObservation(policy, observe, lineLength);
  const scopes = { policy, scoreScope, rowScope, kvDtype: options.kvDtype } as const;
  if (policy.keepsAll && pages < lines) {
    throw new OptionError(
      `cache.budgetLines: expected none, or at least ${lines} with policy ${policy.name}, got ${pages}; use policy summary`,
    );
  }
  if (policy.keepsAll || pages >= lines) {
    const none = {
      keptLines: 0,
      anchorTokens: 0,
      survivors: 0,
      summaries: 0,
      observe: 'nothing',
      score: BY_AGE,
    } as const;
    return { ...scopes, ...none, ...pace, budgetLines: lines, recentLines: lines };
  }
  const pinnedLines = Math.ceil(anchorTokens / lineLength);
  const least = pinnedLines + recentLines + inFlight;
  if (pages < least) {
    const drawn = inFlight === 1 ? 'the line being drawn' : `${inFlight} being drawn`;
    const remedy =
      inFlight === 1
        ? 'raise it, or lower'
        : `window ${window} of ${lineLength} columns needs at least ${least} lines: raise it or parallel.window, or lower`;
    throw new OptionError(
      `cache.budgetLines: expected at least ${least} (${pinnedLines} for anchors + ${recentLines} recent + ${drawn}), got ${pages}; ${remedy} cache.anchorTokens or cache.recentLines`,
    );
  }
  const wanted = policy.recent?.({ ...pinned, summaries }) ?? recentLines;
  const recent = Math.max(recentLines, Math.min(whole('policy: recent', wanted, 0), budgetLines - 1 - pinnedLines));
  const keptLines = budgetLines - recent - 1;
  const survivors = keptLines * lineLength - anchorTokens - summaries;
  if (survivors < 0) {
    throw new OptionError(
      `cache.summaries: expected at most ${survivors + summaries} (${keptLines} kept lines of ${lineLength} less ${anchorTokens} anchors), got ${summaries}; raise cache.budgetLines`,
    );
  }
  const sizes = { ...pace, budgetLines: pages, recentLines: recent, keptLines, anchorTokens, survivors, summaries };
  const chosenBy = survivors > 0 ? { observe, score: policy.score } : { observe: 'nothing' as const, score: BY_AGE };
  return { ...scopes, ...sizes, ...chosenBy };
}

function findPolicy({ policy: given, budgetLines }: CacheOptions): EvictionPolicy {
  const named = given ?? (budgetLines === undefined ? 'full' : 'summary');
  if (typeof named !== 'string') return expectPolicy(named);
  if ((named as string) === 'linear')
    throw new OptionError("cache.policy: expected line-ar, got its old name 'linear'");
  if (!Object.hasOwn(POLICIES, named))
    throw new OptionError(`cache.policy: expected one of ${Object.keys(POLICIES).join(', ')}, got ${String(named)}`);
  return POLICIES[named];
}

/** A policy of the caller's, who may write no TypeScript. */
function expectPolicy(policy: EvictionPolicy): EvictionPolicy {
  const { name, observe, score } = (policy ?? {}) as Partial<EvictionPolicy>;
  if (typeof name === 'string' && typeof score === 'string' && observe !== undefined) return policy;
  throw new OptionError('cache.policy: expected a name, or an object with name, observe and score');
}

function expectObservation({ name }: EvictionPolicy, observe: Observation, lineLength: number): void {
  if (observe === 'nothing') return;
  const queries: unknown = (observe as Partial<typeof observe> | null)?.queries;
  if (queries === 'line' || queries === 'image' || check.whole(1, lineLength).fits(queries)) return;
  throw new OptionError(
    `cache.policy: expected ${name} to observe nothing, or queries of the line, the image, or 1 to ${lineLength} of a line, got ${show(observe)}`,
  );
}

function oneOf<T extends string>(name: string, value: T, names: readonly T[]): T {
  if (names.includes(value)) return value;
  throw new OptionError(`cache.${name}: expected ${names.join(' or ')}, got ${String(value)}`);
}

function whole(name: string, value: number, least: number): number {
  if (Number.isSafeInteger(value) && value >= least) return value;
  throw new OptionError(`cache.${name}: expected a whole number from ${least}, got ${value}`);
}
