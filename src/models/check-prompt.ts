/** The names in a prompt, which are a model's own to say: what they hold its family checks. */

import { OptionError } from '../tensor/errors.ts';
import { type Check, checkOptions, nearest } from '../tensor/options.ts';

/** What a model draws from: a prompt has one of these, and may have a size in pixels. */
export type PromptKinds = readonly [string, ...string[]];

const SIZE = ['width', 'height'];

/** For the family to say. */
const ANYTHING: Check<unknown> = { expected: 'a value', fits: (value): value is unknown => value !== undefined };

/**
 * A prompt's own names and values.
 *
 * Throws OptionError for names that the model does not read, with the nearest that it does, and for two kinds at once.
 */
export function checkPrompt<Prompt extends object>(kinds: PromptKinds, prompt: Prompt): Prompt {
  // a prompt for other models the family refuses, and says what it draws from instead
  if (isForOthers(kinds, prompt)) return prompt;
  const options = Object.fromEntries([...kinds, ...SIZE].map((name) => [name, ANYTHING]));
  const checked = checkOptions({ place: 'prompt', options }, prompt);
  const given = kinds.filter((kind) => Object.hasOwn(checked, kind));
  if (given.length > 1)
    throw new OptionError(`prompt: expected one of ${kinds.join(', ')}, got ${given.join(' and ')}`);
  return checked as Prompt;
}

function isForOthers(kinds: PromptKinds, prompt: object): boolean {
  try {
    return Object.keys(prompt).every((name) => SIZE.includes(name) || nearest(name, kinds) === undefined);
  } catch {
    return false; // `checkOptions` says that it cannot be read
  }
}
