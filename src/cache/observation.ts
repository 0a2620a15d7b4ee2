import type { CachePlan } from './policy.ts';

/** Where a step stands: how many steps ago a line began, and which line begins next. */
export interface StepPlace {
  readonly step: number;
  /** The next line that begins, in this step or later. */
  readonly nextLine: number;
  /** Steps since the line before it began, from 0. */
  readonly since: number;
}

type Grid = { readonly lines: number; readonly lineLength: number };

/** Of how many queries the sum of a line is the mean, from which of its steps on they are summed, and what the sum begins with. */
export interface ObservedLine {
  /** 0: none, as nobody asks for scores that no eviction follows. */
  readonly observed: number;
  readonly from: number;
  /** Whether it goes on from the line before. */
  readonly goesOn: boolean;
}

export function observedLine(
  { observe, budgetLines, window }: CachePlan,
  { lines, lineLength }: Grid,
  nextLine: number,
): ObservedLine {
  const none = { observed: 0, from: 0, goesOn: false };
  if (observe === 'nothing' || nextLine >= lines) return none;
  if (observe.queries === 'image') return { observed: lineLength, from: 0, goesOn: true };
  if (nextLine < budgetLines) return none;
  const observed = observe.queries === 'line' ? lineLength : observe.queries;
  return { observed, from: window - Math.ceil((observed * window) / lineLength), goesOn: false };
}

/**
 * Whether the attention of a step's tokens is summed, over how many queries it is the mean, and whether the sum begins with
 * it. With lines in parallel these are the tokens fed since a line began, one of each column, from all lines in flight.
 */
export function observation(
  plan: CachePlan,
  grid: Grid,
  { step, nextLine, since }: StepPlace,
): { readonly observed: number; readonly isFresh: number } {
  const { observed, from, goesOn } = observedLine(plan, grid, nextLine);
  if (observed === 0 || since < from) return { observed: 0, isFresh: 0 };
  return { observed, isFresh: (goesOn ? step === 1 : since === from) ? 1 : 0 };
}
