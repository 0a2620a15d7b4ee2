/**
 * Measures which candidates are the fastest for the work of some programs, on this device.
 *
 * Every problem that they record is tried with each of its candidates while all others stay as they are; the whole
 * program is timed, so that a candidate is judged among the caches and clocks that it will meet.
 */

import { DeviceError } from './errors.ts';
import type { Program } from './program.ts';
import type { Runtime } from './runtime.ts';
import type { Tensor } from './tensor.ts';

/** Runs of each candidate, in turn with the others, of which the median counts. */
const REPEATS = 5;
/** (ours) What a candidate must save of the whole program to be taken instead of the prior: less is noise. */
const LEAST_GAIN = 0.02;

export interface RaceOptions {
  /** Called before each problem, and at the end. */
  readonly onProgress?: (progress: TuneProgress) => void;
  readonly signal?: AbortSignal;
}

/** How far tuning is. */
export interface TuneProgress {
  readonly done: number;
  readonly total: number;
  /** What is tried now; at the end what was tried last. */
  readonly problem: string;
}

/** A piece of work, and how long whole programs took with each kernel for it. */
export interface TunedProblem {
  readonly problem: string;
  /** Median milliseconds by candidate, that of the prior first. */
  readonly medianMs: Readonly<Record<string, number>>;
  /** Candidates that failed here, and why: never chosen. */
  readonly refused: Readonly<Record<string, string>>;
  /** The fastest, which later programs take. */
  readonly chosen: string;
}

/**
 * Tries the candidates of all problems that `builds` record. A build may be recorded and run any number of times, and
 * returns the tensor whose bits are compared: a candidate that gives others than the first is refused.
 *
 * Throws DeviceError where the first candidate itself fails, and the signal's reason; what was found until then is kept.
 */
export async function raceCandidates(
  runtime: Runtime,
  builds: readonly (() => Tensor)[],
  { onProgress, signal }: RaceOptions = {},
): Promise<TunedProblem[]> {
  const problems = await problemsOf(runtime, builds);
  const tuned: TunedProblem[] = [];
  for (const [problem, { build, names }] of problems) {
    onProgress?.({ done: tuned.length, total: problems.size, problem });
    const one = await race(runtime, build, { problem, names, signal });
    runtime.tuning.remember(problem, one.chosen);
    tuned.push(one);
  }
  const problem = tuned.at(-1)?.problem ?? '';
  onProgress?.({ done: tuned.length, total: problems.size, problem });
  return tuned;
}

interface Problem {
  readonly build: () => Tensor;
  readonly names: readonly string[];
}

/** Each problem with the first program that has it; of those for which there is a choice. */
async function problemsOf(runtime: Runtime, builds: readonly (() => Tensor)[]): Promise<Map<string, Problem>> {
  const problems = new Map<string, Problem>();
  for (const build of builds) {
    const program = await runtime.record('problems', () =>
      runtime.tuning.choosing((problem, candidates) => {
        const names = candidates.map(({ name }) => name);
        if (!problems.has(problem) && names.length > 1) problems.set(problem, { build, names });
        return undefined;
      }, build),
    );
    program.dispose();
  }
  return problems;
}

async function race(
  runtime: Runtime,
  build: () => Tensor,
  { problem, names, signal }: { problem: string; names: readonly string[]; signal: AbortSignal | undefined },
): Promise<TunedProblem> {
  const programs = new Map<string, Program<Tensor>>();
  const refused: Record<string, string> = {};
  const samples = new Map<string, number[]>();
  try {
    let expected: ArrayLike<number> | undefined;
    for (const name of names) {
      signal?.throwIfAborted();
      try {
        const program = await recordWith(runtime, build, problem, name);
        programs.set(name, program);
        program.run(); // compiles, on drivers that do so at the first run
        const result = await program.result.read();
        expected ??= result;
        expectSame(result, expected, `${problem}: expected ${name} to give the bits of ${names[0]}`);
        samples.set(name, []);
      } catch (error) {
        if (!(error instanceof DeviceError) || name === names[0]) throw error;
        refused[name] = error.message;
      }
    }
    for (let i = 0; i < REPEATS; i++) {
      for (const [name, times] of samples) {
        signal?.throwIfAborted();
        const start = performance.now();
        programs.get(name)?.run();
        await runtime.settled();
        times.push(performance.now() - start);
      }
    }
  } finally {
    for (const program of programs.values()) program.dispose();
  }
  const medianMs = Object.fromEntries([...samples].map(([name, times]) => [name, median(times)]));
  return { problem, medianMs, refused, chosen: fastest(medianMs) };
}

/** Records with that candidate in place of what is remembered. */
function recordWith(runtime: Runtime, build: () => Tensor, problem: string, name: string): Promise<Program<Tensor>> {
  return runtime.record(name, () =>
    runtime.tuning.choosing(
      (asked, candidates) => (asked === problem ? candidates.find((candidate) => candidate.name === name) : undefined),
      build,
    ),
  );
}

function expectSame(result: ArrayLike<number>, expected: ArrayLike<number>, place: string): void {
  for (let i = 0; i < expected.length; i++)
    if (!Object.is(result[i], expected[i])) throw new DeviceError(`${place}, ${expected[i]} at ${i}, got ${result[i]}`);
}

/** The first, unless another gains more than noise. */
function fastest(medianMs: Readonly<Record<string, number>>): string {
  const entries = Object.entries(medianMs);
  const [first = '', firstMs = 0] = entries[0] ?? [];
  const [name, ms] = entries.reduce((best, one) => (one[1] < best[1] ? one : best));
  return ms < (1 - LEAST_GAIN) * firstMs ? name : first;
}

function median(times: readonly number[]): number {
  return [...times].sort((a, b) => a - b)[times.length >> 1]!; // REPEATS of them
}
