import type { CachePlan } from './policy.ts';

/** Where a step stands: how many steps ago a line began, and which line begins next. */
export interface StepPlace {
  readonly step: number;
  /** The next line that begins, in this step or later. */
  readonly nextLine: number;
  /** Steps since the line before it began, from 0. */
  readonly since: number;
}

/**
 * Whether the attention of a step's tokens is summed, over how many queries it is the mean, and whether the sum begins with
 * it. With lines in parallel these are the tokens fed since a line began, one of each column, from all lines in flight.
 */
export function observation(
  { observe, budgetLines, window }: CachePlan,
  { lines, lineLength }: { readonly lines: number; readonly lineLength: number },
  { step, nextLine, since }: StepPlace,
): { readonly observed: number; readonly isFresh: number } {
  const none = { observed: 0, isFresh: 0 };
  // nobody asks for scores that no eviction follows
  if (observe === 'nothing' || nextLine >= lines) return none;
  if (observe.queries === 'image') return { observed: lineLength, isFresh: step === 1 ? 1 : 0 };
  const queries = observe.queries === 'line' ? lineLength : observe.queries;
  const first = window - Math.ceil((queries * window) / lineLength);
  if (nextLine < budgetLines || since < first) return none;
  return { observed: queries, isFresh: since === first ? 1 : 0 };
}
