/** What an attack is, and how its cases end. */

import { OptionError, RasterlineError } from '../../src/tensor/errors.ts';

/** As good as any for choosing; the same seed chooses the same. */
export interface Chance {
  /** A whole number from 0 to below `end`. */
  below(end: number): number;
  pick<T>(all: readonly T[]): T;
}

export interface Attack {
  readonly name: string;
  /** One case. Resolves where the input was read as it should be, and throws what the library throws. */
  /** Of cases; absent: without end. */
  readonly count?: number;
  run(chance: Chance, index: number): Promise<Case>;
  close?(): Promise<void>;
}

export interface Case {
  /** What was done, to find it again. */
  readonly what: string;
  /** Bytes that the input may honestly cost, beyond what every case may. */
  readonly bytes?: number;
  readonly end: () => Promise<unknown>;
  /** Whether any end but an OptionError is wrong. */
  readonly mustFail?: boolean;
}

/** `hang`, `crash` and `over` are seen from outside. */
export type Outcome = 'right' | 'typed' | 'raw' | 'hang' | 'crash' | 'over';

export interface Ended {
  readonly index: number;
  readonly outcome: Outcome;
  readonly what: string;
  readonly detail: string;
  readonly cpuMs: number;
}

/** What a case may cost beyond its input: the limits of `limits.ts` promise it. */
const MOST_BYTES = 200 * 2 ** 20;

export async function ended(index: number, { what, bytes = 0, end, mustFail = false }: Case): Promise<Ended> {
  const memory = () => process.resourceUsage().maxRSS * 1024; // the most so far
  const [before, cpu] = [memory(), process.cpuUsage()];
  let outcome: Outcome = mustFail ? 'raw' : 'right';
  let detail = mustFail ? 'was taken' : '';
  try {
    await end();
  } catch (error) {
    outcome = error instanceof (mustFail ? OptionError : RasterlineError) ? 'typed' : 'raw';
    detail = error instanceof Error ? `${error.stack}`.slice(0, 600) : String(error);
  }
  if (memory() - before > MOST_BYTES + bytes) {
    outcome = 'over';
    detail = `${Math.round((memory() - before) / 2 ** 20)} MiB`;
  }
  const { user, system } = process.cpuUsage(cpu);
  return { index, outcome, what, detail, cpuMs: (user + system) / 1000 };
}

/** mulberry32, Tommy Ettinger, public domain. */
export function chance(seed: number): Chance {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (t ^ (t >>> 14)) >>> 0;
  };
  const below = (end: number) => next() % Math.max(1, end);
  return { below, pick: (all) => all[below(all.length)]! };
}
