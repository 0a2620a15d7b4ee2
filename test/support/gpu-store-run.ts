/** Images of random queries, keys and values drawn through a `KvStore` on the GPU, all of it read back after every step. */

import { KvStore } from '../../src/cache/kv-store.ts';
import type { Counters } from '../../src/tensor/counters.ts';
import type { Runtime } from '../../src/tensor/runtime.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { anglesOf, type GpuShape, planOf, positionOffsetsOf, qkvRows, widthOf } from './gpu-inputs.ts';
import { type GpuCell, GpuRecorder } from './gpu-recorder.ts';

export interface GpuImage {
  readonly seed: number;
  readonly cells: readonly GpuCell[];
  /** Attention of the condition tokens, of each layer: [R · T, H · D]. */
  readonly prefill: readonly Float32Array[];
  /** Attention of each image token, of each layer: [R, H · D]. */
  readonly outputs: readonly (readonly Float32Array[])[];
  /** What the runtime made while the image was drawn. */
  readonly made: Counters & { readonly liveBytes: number };
}

export interface GpuRun {
  readonly images: readonly GpuImage[];
  /** Bytes of keys and values as the store states them, and of all that opening it took. */
  readonly storeBytes: number;
  readonly openedBytes: number;
  readonly scratchBytes: number;
}

/** Draws images one after another through one store, which is reset between them; `tokens` cuts an image short. */
export async function drawImages(
  runtime: Runtime,
  shape: GpuShape,
  images: readonly { readonly seed: number; readonly tokens?: number }[],
): Promise<GpuRun> {
  const { layers, lines, lineLength, kvHeads, group, condition, leftPadding, pairing } = shape;
  const before = runtime.liveBytes;
  const geometry = { ...shape, heads: kvHeads * group, positionOffsets: positionOffsetsOf(shape) };
  using store = await KvStore.open(runtime, geometry, planOf(shape));
  const openedBytes = runtime.liveBytes - before;
  const make = (rows: number) =>
    range(layers).map((layer) => runtime.tensor([rows, widthOf(shape)], 'f32', `qkv ${layer}`));
  const rows = leftPadding.length;
  const inputs = {
    condition: make(rows * condition),
    lanes: range(store.table.mostLanes).map((more) => make(rows * (more + 1))),
  };
  const table = anglesOf(shape);
  using angles = runtime.tensor([table.length / shape.headDim, shape.headDim / 2, 2], 'f32', 'angles', table);
  const rotation = { angles, pairing };
  using prefill = await runtime.record('prefill', () =>
    inputs.condition.map((qkv, layer) => store.prefill.attend(layer, qkv, rotation)),
  );
  const steps = await Promise.all(
    inputs.lanes.map((qkvs, more) =>
      runtime.record(`step of ${more + 1}`, () => qkvs.map((qkv, layer) => store.decode.attend(layer, qkv, rotation))),
    ),
  );

  const drawn: GpuImage[] = [];
  for (const { seed, tokens } of images) {
    if (drawn.length > 0) store.reset();
    const counters = { ...runtime.counters, liveBytes: runtime.liveBytes };
    const recorder = new GpuRecorder(store, shape);
    for (const [layer, qkv] of inputs.condition.entries()) qkv.write(qkvRows(shape, seed, layer, range(condition)));
    prefill.run();
    await recorder.begin();
    const outputs: Float32Array[][] = [];
    const count = lines * lineLength;
    while (outputs.filter(Boolean).length < (tokens ?? count)) {
      const { next } = store.table;
      const step = steps[next.length - 1]!; // one of each number of lanes
      // what stands in for a token is another, and may be seen by nobody else
      const fed = next.map(({ token, line }) => condition + token + (token < line * lineLength ? count : 0));
      for (const [layer, qkv] of inputs.lanes[next.length - 1]!.entries()) qkv.write(qkvRows(shape, seed, layer, fed));
      const after = store.advance();
      step.run();
      const read = await readAll(step.result);
      for (const [lane, { token, line }] of next.entries())
        if (token >= line * lineLength) outputs[token] = read.map((output) => ofLane(output, lane, next.length, rows));
      const placed = await recorder.stepPlaced();
      if (!placed.endsLine) continue;
      await recorder.beforeLineEnd();
      if (after.length > 0) runtime.run(...after);
      await recorder.lineEnded(placed);
    }
    const attended = await readAll(prefill.result);
    const made = { ...runtime.counters, liveBytes: runtime.liveBytes };
    for (const name of Object.keys(made) as (keyof typeof made)[]) made[name] -= counters[name];
    drawn.push({ seed, cells: recorder.cells(), prefill: attended, outputs, made });
  }
  for (const thing of [...inputs.condition, ...inputs.lanes.flat(), ...steps]) thing.dispose();
  return { images: drawn, storeBytes: store.bytes, openedBytes, scratchBytes: store.scratchBytes };
}

/** Rows [R, width] of a lane of [R · lanes, width]. */
function ofLane(output: Float32Array, lane: number, lanes: number, rows: number): Float32Array {
  const width = output.length / (rows * lanes);
  return Float32Array.from(
    range(rows).flatMap((row) => [...output.subarray((row * lanes + lane) * width, (row * lanes + lane + 1) * width)]),
  );
}

async function readAll(tensors: readonly Tensor[]): Promise<Float32Array[]> {
  return (await Promise.all(tensors.map((tensor) => tensor.read()))) as Float32Array[];
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}
