/** How far a run is, as a text that another process goes on from: its settings, and the tokens of its finished lines. */

import { type Recipe, recipeOfJson } from './recipe.ts';
import type { SamplingOptions } from './sampler.ts';
import { FormatError } from './tensor/errors.ts';

/** What goes on with a run. Images are drawn in order, a run of some of them after the other. */
export interface Journal extends Omit<Recipe, 'sampling'> {
  /** As the caller gave it. */
  readonly sampling: SamplingOptions;
  /** Kind of the driver: another draws other images. */
  readonly driver: string;
  /** Where the pictures go. */
  readonly out: string;
  /** Images done, and written. */
  readonly done: number;
  /** Of the images that are being drawn, which are the next ones: tokens of their finished lines. */
  readonly tokens: readonly (readonly number[])[];
}

/** Throws FormatError, naming `place`, for a text that is no journal. */
export function parseJournal(place: string, json: string): Journal {
  const journal = recipeOfJson(place, json) as unknown as Partial<Journal>;
  const { driver, out, done, tokens } = journal;
  const isText = (value: unknown) => typeof value === 'string' && value !== '';
  const isCount = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;
  if (
    isText(driver) &&
    isText(out) &&
    isCount(done) &&
    isLists(tokens) &&
    tokens.every((image) => image.every(isCount))
  )
    return journal as Journal;
  throw new FormatError(
    `${place}: expected a journal of rasterline generate --journal, with driver, out, done and tokens, got none`,
  );
}

function isLists(value: unknown): value is readonly (readonly unknown[])[] {
  return Array.isArray(value) && value.every(Array.isArray);
}
