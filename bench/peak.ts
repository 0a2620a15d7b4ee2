/** What the adapter can do at most, measured: rows of the bench are shown as a share of it. */

import { defineKernel, unroll } from '../src/tensor/kernel.ts';
import type { Program } from '../src/tensor/program.ts';
import type { Runtime } from '../src/tensor/runtime.ts';
import { type Row, round } from './support.ts';

const THREADS = 64;
const GROUPS = 256;
/** Of a weight larger than any cache on the way: 64 MiB, within the least binding limit of WebGPU. */
const VECTORS = 2 ** 22;
/** Independent sums of a thread, so that none waits for another. */
const CHAINS = 8;
const STEPS = 256;
const RUNS = 20;

export interface Peaks {
  readonly 'GB/s': number;
  readonly 'GFLOP/s': number;
}

const readAll = defineKernel(
  'bench.read',
  { x: 'read vec4f', y: 'write vec4f' },
  `@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) id: vec3u) {
  var sum = vec4f();
  for (var i = id.x; i < ${VECTORS}u; i += ${THREADS * GROUPS}u) { sum += x[i]; }
  y[id.x] = sum;
}`,
);

const multiplyAdd = defineKernel(
  'bench.fma',
  { y: 'write vec4f' },
  `@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) id: vec3u) {
  let f = vec4f(1.0 + f32(id.x % 7u) * 1e-7);
  ${unroll(CHAINS, (i) => `var s${i} = vec4f(${i}.0);`)}
  for (var n = 0u; n < ${STEPS}u; n++) { ${unroll(CHAINS, (i) => `s${i} = fma(s${i}, f, f);`)} }
  y[id.x % ${THREADS * GROUPS}u] = ${Array.from({ length: CHAINS }, (_, i) => `s${i}`).join(' + ')};
}`,
);

/** Reads 64 MiB once; multiplies and adds in registers alone. */
export async function measurePeaks(runtime: Runtime): Promise<Peaks> {
  using x = runtime.tensor([VECTORS, 4], 'f32', 'x');
  using y = runtime.tensor([THREADS * GROUPS, 4], 'f32', 'y');
  // what a driver on the CPU needs milliseconds for is too little for a GPU to be seen at all
  const groups = runtime.isSoftware ? GROUPS : 128 * GROUPS;
  using reading = await runtime.record('read', () => runtime.dispatch(readAll, { x, y }, {}, [GROUPS]));
  using adding = await runtime.record('fma', () => runtime.dispatch(multiplyAdd, { y }, {}, [groups]));
  const bytes = 16 * VECTORS;
  const flops = groups * THREADS * STEPS * CHAINS * 4 * 2;
  return {
    'GB/s': round(bytes / (await leastMs(runtime, reading)) / 1e6),
    'GFLOP/s': round(flops / (await leastMs(runtime, adding)) / 1e6),
  };
}

/** The fastest run: what slows others down is not the adapter's. */
async function leastMs(runtime: Runtime, program: Program): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < RUNS; i++) {
    const start = performance.now();
    program.run();
    await runtime.settled();
    least = Math.min(least, performance.now() - start);
  }
  return least;
}

/** Rows with the larger of their shares of the peaks, in percent: what is nearer to a limit is what limits. */
export function sharesOf(rows: readonly object[], peaks: Peaks): readonly object[] {
  return rows.map((row) => {
    const figures = row as Partial<Row>;
    const shares = (['GB/s', 'GFLOP/s'] as const)
      .filter((unit) => figures[unit] !== undefined && peaks[unit] > 0)
      .map((unit) => (100 * Number(figures[unit])) / peaks[unit]);
    return shares.length > 0 ? { ...row, '% of peak': round(Math.max(...shares)) } : row;
  });
}
