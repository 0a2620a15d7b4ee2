/** Whole images of the embedded model, full against LineAR; and what encoding a token costs the CPU. */

import { generate } from '../src/generate.ts';
import { linear } from '../src/kernels/linear/linear.ts';
import { allocateLinear } from '../src/kernels/linear/weight.ts';
import { loadModel } from '../src/models/load-model.ts';
import { plan } from '../src/plan.ts';
import { Runtime } from '../src/tensor/runtime.ts';
import { type BatchPoint, batchChart } from './batch-chart.ts';
import { round, saveText } from './support.ts';
import { tokenWork } from './token-work.ts';

/**
 * tokens/s of the loop with the prefill and the decoder in it, counts that hold on any GPU, and what the tokens alone move
 * and compute of it. The chart goes beside the results.
 */
export async function decodeRows(runtime: Runtime): Promise<object[]> {
  using model = await loadModel(runtime, 'emoji');
  const rows: object[] = [];
  const points: BatchPoint[] = [];
  for (const images of [1, 4, 8]) {
    for (const budgetLines of [16, 8, 4, 3]) {
      const classes = Array.from({ length: images }, (_, i) => 10 * i);
      const draw = () => generate(model, { prompt: { classes }, cache: { policy: 'line-ar', budgetLines } });
      if (rows.length === 0) await draw(); // compiles
      const before = { ...runtime.counters };
      const start = performance.now();
      await draw();
      const elapsedMs = performance.now() - start;
      const per = (name: 'dispatches' | 'submits') => round((runtime.counters[name] - before[name]) / 256);
      const memory = await plan('emoji', { batch: images, cache: { policy: 'line-ar', budgetLines } });
      const { bytes, flops } = tokenWork('emoji', { rows: 2 * images, budgetLines });
      const perSecond = (work: number) => round((256 * work) / elapsedMs / 1e6);
      points.push({
        images,
        budgetLines,
        tokensPerSecond: (256_000 * images) / elapsedMs,
        kvBytes: memory.kvBytes,
      });
      rows.push({
        images,
        budgetLines,
        'tokens/s': round((256_000 * images) / elapsedMs),
        's/image': round(elapsedMs / 1000 / images),
        'dispatches/token': per('dispatches'),
        'submits/token': per('submits'),
        'KV bytes': memory.kvBytes,
        'MB/step': round(bytes / 1e6),
        'MFLOP/step': round(flops / 1e6),
        'GB/s': perSecond(bytes),
        'GFLOP/s': perSecond(flops),
      });
    }
  }
  saveText(`${runtime.kind}-batch.svg`, await batchChart(points));
  return rows;
}

/** CPU time to encode and submit one token of a 36-layer model: 5 dispatches a layer and 3 more, on Dawn's null backend. */
export async function encodeRows(): Promise<object[]> {
  using runtime = await Runtime.open({ driver: 'null' });
  const weight = allocateLinear(runtime, { label: 'w', inputs: 32, outputs: 32, dtype: 'f16' });
  const dispatches = 36 * 5 + 3;
  using x = runtime.tensor([2, 32], 'f32', 'x');
  using step = await runtime.record('step', () => {
    let y = x;
    for (let i = 0; i < dispatches; i++) y = linear(y, weight, i % 2 ? {} : { normEpsilon: 1e-5 });
    return y;
  });
  const samples: number[] = [];
  for (let i = 0; i < 300; i++) {
    const start = performance.now();
    runtime.run(step);
    samples.push(performance.now() - start);
    if (i % 20 === 0) await runtime.settled();
  }
  weight.dispose();
  const sorted = samples.slice(50).sort((a, b) => a - b);
  return [
    {
      layers: 36,
      dispatches,
      'median ms/token': round(sorted[sorted.length >> 1]!),
      'p95 ms/token': round(sorted[Math.floor(sorted.length * 0.95)]!),
    },
  ];
}
