import { KvStore } from '../../src/cache/kv-store.ts';
import { planCache } from '../../src/cache/policy.ts';
import { linear } from '../../src/kernels/linear/linear.ts';
import {
  allocateLinear,
  type LinearShape,
  type LinearWeight,
  type MatrixDtype,
} from '../../src/kernels/linear/weight.ts';
import { blockForward, type Transformer } from '../../src/models/parts/transformer.ts';
import type { Program } from '../../src/tensor/program.ts';
import type { Runtime } from '../../src/tensor/runtime.ts';
import type { Contender } from './contender.ts';
import { LAYER, random } from './sizes.ts';

export async function ourMatmul(
  runtime: Runtime,
  name: string,
  [rows, outputs, inputs]: readonly [number, number, number],
  dtype: MatrixDtype,
): Promise<Contender> {
  const weight = filled(runtime, { label: 'w', inputs, outputs, dtype });
  const x = runtime.tensor([rows, inputs], 'f32', 'x', random(rows * inputs));
  return contender(runtime, name, await runtime.record('product', () => linear(x, weight)), [weight, x]);
}

/** Norms, rotation, the store and its scores are in it, as in a drawing. `count` layers share weights and cache. */
export async function ourLayer(
  runtime: Runtime,
  name: string,
  { cached, count, dtype }: { readonly cached: number; readonly count: number; readonly dtype: MatrixDtype },
): Promise<Contender> {
  const { width, heads, headDim, inner, rows } = LAYER;
  const lines = Math.sqrt(cached);
  const zeros = new Array<number>(rows).fill(0);
  const store = await KvStore.open(
    runtime,
    {
      ...{ layers: 1, heads, kvHeads: heads, headDim, lines, lineLength: lines, condition: 1, images: rows / 2 },
      ...{ leftPadding: zeros, positionOffsets: zeros, dtype: dtype === 'f32' ? 'f32' : 'f16' },
    },
    planCache({ policy: 'full' }, { lines, lineLength: lines }),
  );
  const matrix = (label: string, inputs: number, outputs: number, paired = false) =>
    filled(runtime, { label, inputs, outputs, paired, dtype });
  const block = {
    qkv: matrix('qkv', width, 3 * width),
    out: matrix('out', width, width),
    gateUp: matrix('gate and up', width, inner, true),
    down: matrix('down', inner, width),
  };
  const angles = runtime.tensor([1 + cached, headDim / 2, 2], 'f32', 'angles');
  const transformer: Transformer = { blocks: [block], rotation: { angles, pairing: 'interleaved' }, normEpsilon: 1e-5 };
  const x = runtime.tensor([rows, width], 'f32', 'x', random(rows * width));
  const step = await runtime.record('layer', () => {
    let h = x;
    for (let i = 0; i < count; i++) h = blockForward(transformer, block, 0, h, store.decode);
    return h;
  });
  for (let token = 0; token < cached - 1; token++) store.advance();
  return contender(runtime, name, step, [store, ...Object.values(block), angles, x]);
}

function filled(runtime: Runtime, shape: LinearShape): LinearWeight {
  const weight = allocateLinear(runtime, shape);
  for (const { tensor, scales } of weight.parts) {
    if (tensor.dtype === 'u32') tensor.write(new Uint32Array(tensor.count).fill(0x1234567f));
    else tensor.write(random(tensor.count));
    scales?.write(random(scales.count));
  }
  return weight;
}

function contender(
  runtime: Runtime,
  name: string,
  program: Program<unknown>,
  owned: readonly { dispose(): void }[],
): Contender {
  return {
    name,
    step: async () => {
      program.run();
      await runtime.settled();
    },
    dispose: () => {
      for (const one of [program, ...owned]) one.dispose();
    },
  };
}
