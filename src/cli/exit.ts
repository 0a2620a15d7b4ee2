/** How a command ends badly: one line on stderr, and a code. */

import { CommanderError } from 'commander';
import { OptionError, RasterlineError } from '../tensor/errors.ts';

/** Interrupted by Ctrl-C: the reason given to the abort signal. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
}

/** Prints the error and returns the exit code: 1 failed, 2 wrong options, 130 interrupted. */
export function failed(error: unknown, debug: boolean): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2; // commander has printed it
  const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
  process.stderr.write(debug ? `${stack}\n` : `${error instanceof RasterlineError ? name : 'error'}: ${message}\n`);
  if (error instanceof Interrupted) return 130;
  return error instanceof OptionError ? 2 : 1;
}

/** A signal that Ctrl-C aborts; a second Ctrl-C ends the process at once. Call `release` when the run is over. */
export function interruptible(): { readonly signal: AbortSignal; release(): void } {
  const controller = new AbortController();
  const stop = () => controller.abort(new Interrupted('interrupted; nothing was written'));
  process.once('SIGINT', stop);
  return { signal: controller.signal, release: () => process.removeListener('SIGINT', stop) };
}
