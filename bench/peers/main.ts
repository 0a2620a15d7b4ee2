/** `npm start` in this folder: the products of the table, a layer's step, and an image's, ours and the peers' in turns. */

import { Runtime } from '../../src/tensor/runtime.ts';
import { conditions, report, round } from '../support.ts';
import { alternate, type Case } from './contender.ts';
import { jaxLayer, jaxMatmul } from './jax.ts';
import { layerGraph, matmul4Graph, matmulGraph } from './onnx.ts';
import { ortGraph } from './ort.ts';
import { ourLayer, ourMatmul } from './ours.ts';
import { IMAGE_TOKENS, LAYER, layerFlops, MODEL_LAYERS } from './sizes.ts';

const PRODUCTS = [
  [1, 4096, 4096],
  [8, 4096, 1280],
  [64, 4096, 1280],
  [1024, 1024, 1024],
] as const;

const runtime = await Runtime.open();
const { create, globals } = await import('webgpu');
Object.assign(globalThis, globals);
const gpu = create([]); // which the peer holds; dropping it would end the process

const none = async (): Promise<never> => {
  throw new Error('has no product of 4 bits on WebGPU');
};

function product(sizes: readonly [number, number, number]): Case[] {
  const [rows, outputs, inputs] = sizes;
  const name = `${rows} x ${outputs} x ${inputs}`;
  const flops = 2 * rows * outputs * inputs;
  return [
    {
      name: `${name}, f32`,
      flops,
      contenders: {
        ours: () => ourMatmul(runtime, 'ours', sizes, 'f32'),
        onnxruntime: () => ortGraph('onnxruntime', matmulGraph(sizes), [rows, inputs]),
        'jax-js': () => jaxMatmul(gpu, sizes),
      },
    },
    {
      name: `${name}, int4`,
      flops,
      contenders: {
        ours: () => ourMatmul(runtime, 'ours', sizes, 'int4'),
        onnxruntime: () => ortGraph('onnxruntime', matmul4Graph(sizes), [rows, inputs]),
        'jax-js': none,
      },
    },
  ];
}

function layer(name: string, cached: number, count: number): Case {
  return {
    name,
    flops: count * layerFlops(cached),
    contenders: {
      ours: () => ourLayer(runtime, 'ours', { cached, count, dtype: 'f32' }),
      onnxruntime: () => ortGraph('onnxruntime', layerGraph(cached, count), [LAYER.rows, 1, LAYER.width]),
      'jax-js': () => jaxLayer(gpu, cached, count),
    },
  };
}

const GROUPS: Readonly<Record<string, readonly Case[]>> = {
  products: PRODUCTS.flatMap(product),
  layer: [64, 576, 2304].map((cached) => layer(`a layer of LlamaGen-B, 2 rows, ${cached} cached`, cached, 1)),
  // the cache grows from 1 to 256: 144 stands for its mean, and is a square of lines
  image: [layer(`a token of LlamaGen-B's ${MODEL_LAYERS} layers, 2 rows, 144 cached`, 144, MODEL_LAYERS)],
};

report('conditions', [conditions(runtime)]);
const asked = process.argv.slice(2);
for (const [group, cases] of Object.entries(GROUPS)) {
  if (asked.length > 0 && !asked.includes(group)) continue;
  const rows: Record<string, string | number>[] = [];
  for (const one of cases) {
    const results = await alternate(one);
    const row: Record<string, string | number> = { case: one.name };
    for (const [name, result] of Object.entries(results)) {
      if (typeof result === 'string') {
        row[name] = result;
        continue;
      }
      row[`${name} ms`] = round(result);
      row[`${name} GFLOP/s`] = round(one.flops / result / 1e6);
      if (group === 'image') row[`${name} s/image`] = round((IMAGE_TOKENS * result) / 1000);
    }
    process.stderr.write(`${JSON.stringify(row)}\n`);
    rows.push(row);
  }
  report(group, rows);
}
process.exit(0); // a peer's device keeps the process
