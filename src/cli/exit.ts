/** How a command ends badly: one line on stderr, and a code. */

import { CommanderError } from 'commander';
import { OptionError, RasterlineError } from '../tensor/errors.ts';
import { printable } from '../tensor/show.ts';

/** The signals that end a run in order, and the exit codes that a shell gives them. */
const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

type Ending = keyof typeof SIGNALS;

/** Told to end, by Ctrl-C or another signal: the reason given to the abort signal. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';

  constructor(readonly ending: Ending) {
    super('interrupted; nothing is half-written');
  }
}

/** A reader such as `head` may close stdout early: that ends the command. Without stderr it goes on, unseen. */
export function outliveClosedPipes(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
  process.stderr.on('error', () => undefined);
}

/** Prints the error and returns the exit code: 1 failed, 2 wrong options, 129, 130 or 143 told to end. */
export function failed(error: unknown, debug: boolean): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2; // commander has printed it
  const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
  const text = debug ? `${stack}` : `${error instanceof RasterlineError ? name : 'error'}: ${message}`;
  process.stderr.write(`${printable(text, { keepLines: true })}\n`);
  if (error instanceof Interrupted) return SIGNALS[error.ending];
  return error instanceof OptionError ? 2 : 1;
}

/** A signal that Ctrl-C, SIGTERM and SIGHUP abort; a second one ends the process at once. Call `release` when the run is over. */
export function interruptible(): { readonly signal: AbortSignal; release(): void } {
  const controller = new AbortController();
  const names = Object.keys(SIGNALS) as Ending[];
  const release = () => {
    for (const name of names) process.removeListener(name, stop);
  };
  const stop = (name: Ending) => {
    release();
    controller.abort(new Interrupted(name));
  };
  for (const name of names) process.on(name, stop);
  return { signal: controller.signal, release };
}
