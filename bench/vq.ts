/** The decoder of images, of random weights: what a picture costs beside its tokens. */

import type { VqConfig } from '../src/models/parts/vq/config.ts';
import { vqPreset } from '../src/models/parts/vq/config.ts';
import { decode } from '../src/models/parts/vq/decoder.ts';
import { vqWeights } from '../src/models/parts/vq/weights.ts';
import { loadWeights } from '../src/models/weights/load-weights.ts';
import type { Runtime } from '../src/tensor/runtime.ts';
import { randomCheckpoint } from '../test/support/random-checkpoint.ts';
import { type Row, round } from './support.ts';

/** Whole pictures: of the embedded model, 64 px, and of LlamaGen's ds16 at 128 and 256 px. */
export async function vqRows(runtime: Runtime): Promise<Row[]> {
  const rows: Row[] = [];
  for (const [preset, side, runs] of [
    ['emoji', 16, 5],
    ['vq-ds16', 8, 3],
    ['vq-ds16', 16, 1],
  ] as const) {
    const config = vqPreset(preset);
    const tree = vqWeights(config);
    const { layers, dispose } = await loadWeights(runtime, tree, {
      checkpoint: randomCheckpoint(tree, 1),
      dtype: 'f16',
    });
    using ids = runtime.tensor([side * side], 'u32', 'ids');
    using program = await runtime.record('decode', () => decode(layers, ids, { lines: side, lineLength: side }));
    const samples: number[] = [];
    for (let run = 0; run <= runs; run++) {
      const start = performance.now();
      program.run();
      await runtime.settled();
      samples.push(performance.now() - start);
    }
    samples.shift(); // it compiles
    const medianMs = samples.sort((a, b) => a - b)[runs >> 1]!;
    rows.push({
      name: `${preset}, ${side} x ${side} tokens`,
      medianMs: round(medianMs),
      samples: runs,
      'GFLOP/s': round(flopsOf(config, side) / medianMs / 1e6),
      dispatches: program.dispatches,
      'scratch MB': round(program.scratchBytes / 1e6),
    });
    dispose();
  }
  return rows;
}

/** Multiplications and additions of the 3 x 3 convolutions, which are nearly all. */
function flopsOf({ zChannels, baseChannels, multipliers, residualBlocks }: VqConfig, side: number): number {
  const widths = multipliers.map((multiplier) => multiplier * baseChannels).reverse();
  const conv = (pixels: number, inputs: number, outputs: number) => 18 * pixels * inputs * outputs;
  let pixels = side * side;
  let inputs = widths[0]!;
  let flops = conv(pixels, zChannels, inputs) + 4 * conv(pixels, inputs, inputs);
  for (const [level, outputs] of widths.entries()) {
    flops += conv(pixels, inputs, outputs) + (2 * residualBlocks + 1) * conv(pixels, outputs, outputs);
    inputs = outputs;
    if (level === widths.length - 1) return flops + conv(pixels, outputs, 3);
    pixels *= 4;
    flops += conv(pixels, outputs, outputs);
  }
  return flops;
}
