/**
 * When submitted work will be done, from how long its programs took before.
 *
 * Whoever awaits a queue in Node keeps a core busy with asking. Where that core is the driver's, awaiting a line of tokens
 * made it up to 1.9 times as long: so one sleeps for most of the time first.
 */

/** What is slept through of the time expected: the rest is for work that goes faster than before. */
const SLEEP = 0.8;
/** Timers are no finer. */
const LEAST_MS = 2;

/** What is known of programs that do the same. */
export interface Timed {
  /** Milliseconds of one run; 0 before one was timed. */
  averageMs: number;
  /** One has run, so that the next run compiles nothing and may be timed. */
  isWarm: boolean;
}

export class WorkClock {
  #runs: Timed[] = [];
  #startMs = 0;

  /** Programs that were submitted together, at `nowMs`. */
  submitted(programs: readonly Timed[], nowMs: number): void {
    if (this.#runs.length === 0) this.#startMs = nowMs;
    this.#runs.push(...programs);
  }

  /** Milliseconds that may be slept from `nowMs` on; 0 where a program has not been timed. */
  sleepMs(nowMs: number): number {
    if (this.#runs.some(({ averageMs }) => averageMs === 0)) return 0;
    const left = this.#startMs + SLEEP * this.#expectedMs() - nowMs;
    return left < LEAST_MS ? 0 : left;
  }

  /** All submitted work was done at `nowMs`, and was asked for from `askedMs` on. */
  done(nowMs: number, askedMs: number): void {
    const expectedMs = this.#expectedMs();
    const isNew = this.#runs.some(({ averageMs }) => averageMs === 0);
    const isWarm = this.#runs.every((timed) => timed.isWarm);
    // what is done when it is asked for may have been done long before: half is a guess that soon comes down to it
    const isOverslept = !isNew && nowMs - askedMs < LEAST_MS;
    const elapsedMs = (nowMs - this.#startMs) / (isOverslept ? 2 : 1);
    for (const timed of new Set(this.#runs)) {
      if (!isNew) timed.averageMs *= elapsedMs / expectedMs;
      else if (isWarm) timed.averageMs = elapsedMs / this.#runs.length;
      timed.isWarm = true;
    }
    this.#runs = [];
  }

  #expectedMs(): number {
    return this.#runs.reduce((sum, { averageMs }) => sum + averageMs, 0);
  }
}
