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
  const { layers, kvHeads, group, condition, leftPadding, pairing } = shape;
  const before = runtime.liveBytes;
  const geometry = { ...shape, heads: kvHeads * group, positionOffsets: positionOffsetsOf(shape) };
  using store = await KvStore.open(runtime, geometry, planOf(shape));
  const openedBytes = runtime.liveBytes - before;
  const make = (rows: number) =>
    range(layers).map((layer) => runtime.tensor([rows, widthOf(shape)], 'f32', `qkv ${layer}`));
  const inputs = { condition: make(leftPadding.length * condition), token: make(leftPadding.length) };
  const table = anglesOf(shape);
  using angles = runtime.tensor([table.length / shape.headDim, shape.headDim / 2, 2], 'f32', 'angles', table);
  const rotation = { angles, pairing };
  using prefill = await runtime.record('prefill', () =>
    inputs.condition.map((qkv, layer) => store.prefill.attend(layer, qkv, rotation)),
  );
  using step = await runtime.record('step', () =>
    inputs.token.map((qkv, layer) => store.decode.attend(layer, qkv, rotation)),
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
    for (let token = 0; token < (tokens ?? shape.lines * shape.lineLength); token++) {
      for (const [layer, qkv] of inputs.token.entries())
        qkv.write(qkvRows(shape, seed, layer, [shape.condition + token]));
      const after = store.advance();
      step.run();
      outputs.push(await readAll(step.result));
      await recorder.tokenPlaced(token);
      if (!recorder.lineEnds(token)) continue;
      await recorder.beforeLineEnd();
      if (after.length > 0) runtime.run(...after);
      await recorder.lineEnded((token + 1) / shape.lineLength - 1);
    }
    const attended = await readAll(prefill.result);
    const made = { ...runtime.counters, liveBytes: runtime.liveBytes };
    for (const name of Object.keys(made) as (keyof typeof made)[]) made[name] -= counters[name];
    drawn.push({ seed, cells: recorder.cells(), prefill: attended, outputs, made });
  }
  for (const tensor of [...inputs.condition, ...inputs.token]) tensor.dispose();
  return { images: drawn, storeBytes: store.bytes, openedBytes, scratchBytes: store.scratchBytes };
}

async function readAll(tensors: readonly Tensor[]): Promise<Float32Array[]> {
  return (await Promise.all(tensors.map((tensor) => tensor.read()))) as Float32Array[];
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}
