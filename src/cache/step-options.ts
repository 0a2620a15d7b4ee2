/** How a caller asks for steps of several tokens of an image. */

import { required, whole } from '../tensor/checks.ts';
import type { OptionTable } from '../tensor/options.ts';

/** Lines in parallel, for those who wait for one image: fewer steps, each with more tokens. */
export interface ParallelOptions {
  /**
   * Columns that a line is ahead of the one below it, up to a whole line: an image takes line length + (lines - 1) · window
   * steps. What is lost: a token does not see what lies above it and more than so many columns to the right.
   */
  readonly window: number;
}

/** Drafts of a line's next tokens, for those who wait for one image and want the sequential one: fewer steps, nothing lost. */
export interface SpeculateOptions {
  /** Tokens of an image that a step feeds, all but the first of them drafts; at most a line. 1: no drafts. */
  readonly tokens: number;
}

export const PARALLEL: OptionTable<ParallelOptions>['options'] = { window: required(whole(1)) };
export const SPECULATE: OptionTable<SpeculateOptions>['options'] = { tokens: required(whole(1)) };
