import type { CachePlan } from './policy.ts';

/** Whether a token's attention is summed, over how many queries it is the mean, and whether the sum begins with it. */
export function observation(
  { observe, budgetLines }: CachePlan,
  { lines, lineLength }: { readonly lines: number; readonly lineLength: number },
  { token, line, column }: { readonly token: number; readonly line: number; readonly column: number },
): { readonly observed: number; readonly isFresh: number } {
  const none = { observed: 0, isFresh: 0 };
  // nobody asks for the scores of a line that is not followed by an eviction
  if (observe === 'nothing' || line === lines - 1) return none;
  if (observe.queries === 'image') return { observed: lineLength, isFresh: token === 0 ? 1 : 0 };
  const window = observe.queries === 'line' ? lineLength : observe.queries;
  if (line + 1 < budgetLines || column < lineLength - window) return none;
  return { observed: window, isFresh: column === lineLength - window ? 1 : 0 };
}
