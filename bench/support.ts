/** Benches on a device: conditions first, every sample waits for the GPU, results as JSON. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { Bench } from 'tinybench';
import type { Program } from '../src/tensor/program.ts';
import type { Runtime } from '../src/tensor/runtime.ts';

/** Time spent on a row; RASTERLINE_BENCH_MS=1 only shows that the rows run. */
const BUDGET_MS = Number(process.env.RASTERLINE_BENCH_MS ?? 300);

export interface Row {
  readonly name: string;
  readonly medianMs: number;
  readonly samples: number;
  /** Work of one run, and what it comes to a second. */
  readonly [figure: string]: string | number;
}

export function conditions(runtime: Runtime): Record<string, string> {
  const [cpu] = cpus();
  const software = runtime.isSoftware
    ? 'software driver: absolute times say little, compare rows of one run'
    : 'hardware';
  return {
    driver: runtime.description,
    kind: software,
    kernels: runtime.tuning.state.state,
    cpu: `${cpus().length} x ${cpu?.model ?? 'unknown'}`,
    node: process.version,
    date: new Date().toISOString(),
  };
}

/** Median time of one run of a program, waited for. `work` adds GB/s and GFLOP/s. */
export async function time(
  runtime: Runtime,
  name: string,
  programs: readonly Program<unknown>[],
  work: { readonly bytes?: number; readonly flops?: number } = {},
): Promise<Row> {
  const bench = new Bench({ time: BUDGET_MS, iterations: 5, warmupTime: BUDGET_MS / 6, warmupIterations: 2 });
  bench.add(name, async () => {
    runtime.run(...programs);
    await runtime.settled();
  });
  await bench.run();
  const result = bench.tasks[0]!.result;
  if (!('latency' in result)) throw new Error(`${name}: ${JSON.stringify(result)}`);
  const medianMs = result.latency.p50;
  return {
    name,
    medianMs: round(medianMs),
    samples: result.latency.samplesCount,
    ...(work.bytes && { MB: round(work.bytes / 1e6) }),
    ...(work.flops && { MFLOP: round(work.flops / 1e6) }),
    ...(work.bytes && { 'GB/s': round(work.bytes / medianMs / 1e6) }),
    ...(work.flops && { 'GFLOP/s': round(work.flops / medianMs / 1e6) }),
  };
}

export function round(value: number): number {
  return Number(value.toPrecision(3));
}

export function median(samples: readonly number[]): number {
  return [...samples].sort((a, b) => a - b)[Math.floor(samples.length / 2)]!; // there is one
}

/** A row of every candidate of the one choice that `build` makes, that of the prior first. */
export async function timeEach(
  runtime: Runtime,
  name: string,
  build: () => unknown,
  work: { readonly bytes?: number; readonly flops?: number },
): Promise<Row[]> {
  const rows: Row[] = [];
  let names: readonly string[] = [''];
  for (let i = 0; i < names.length; i++) {
    using program = await runtime.record(name, () =>
      runtime.tuning.choosing((_problem, candidates) => {
        names = candidates.map((candidate) => candidate.name);
        return candidates[i];
      }, build),
    );
    rows.push(await time(runtime, `${name}, ${names[i]}`, [program], work));
  }
  return rows;
}

export function report(title: string, rows: readonly object[]): void {
  console.log(`\n${title}`);
  console.table(rows);
}

/** Writes everything to bench/results/<driver>.json. */
export function save(name: string, results: object): string {
  return saveText(`${name}.json`, `${JSON.stringify(results, undefined, 2)}\n`);
}

/** Writes a file into bench/results. */
export function saveText(name: string, text: string): string {
  mkdirSync('bench/results', { recursive: true });
  writeFileSync(`bench/results/${name}`, text);
  return `bench/results/${name}`;
}
