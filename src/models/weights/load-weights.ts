/** From a checkpoint's tensors to layers on the GPU, a slice at a time. */

import { allocateConv, type ConvWeight, TAPS, writeConvBlock } from '../../kernels/conv/weight.ts';
import { allocateTable, type EmbeddingTable, writeRows } from '../../kernels/embedding.ts';
import {
  allocateLinear,
  floatDtype,
  LANES,
  type LinearWeight,
  type MatrixDtype,
  writeBlock,
} from '../../kernels/linear/weight.ts';
import type { Checkpoint } from '../../tensor/checkpoint/checkpoint.ts';
import { type LoadOptions, Weights } from '../../tensor/checkpoint/weights.ts';
import type { Runtime } from '../../tensor/runtime.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { matrixBlocks } from './matrix-blocks.ts';
import { storedShapes, tableName, valuesShape } from './stored-shapes.ts';
import { matrixDtype, tableDtype } from './weight-bytes.ts';
import {
  type ConvolutionSpec,
  type Loaded,
  type MatrixSpec,
  mapSpecs,
  stackedMatrices,
  type TableSpec,
  type TensorSpec,
  type ValuesSpec,
  vector,
  type WeightSpec,
  weightSpecs,
} from './weight-spec.ts';

/** Least length that a row is divided by: torch.nn.functional.normalize. */
const LEAST_LENGTH = 1e-12;

export interface LoadedWeights<Tree> {
  readonly layers: Loaded<Tree>;
  dispose(): void;
}

interface Loading {
  readonly runtime: Runtime;
  readonly weights: Weights;
  readonly dtype: MatrixDtype;
  /** Takes charge of what is to be freed. */
  own<T extends { dispose(): void }>(thing: T): T;
}

/**
 * Loads a tree in its order. `dtype` is that of matrices; vectors stay f32. Throws FormatError for a tensor that is
 * missing or of another shape; a failure gives back all memory.
 */
export async function loadWeights<Tree>(
  runtime: Runtime,
  tree: Tree,
  { checkpoint, dtype, ...options }: LoadOptions & { readonly checkpoint: Checkpoint; readonly dtype: MatrixDtype },
): Promise<LoadedWeights<Tree>> {
  const weights = new Weights(checkpoint, options, storedShapes(tree, checkpoint).keys());
  const owned: { dispose(): void }[] = [];
  const own = <T extends { dispose(): void }>(thing: T): T => {
    owned.push(thing);
    return thing;
  };
  const dispose = () => {
    for (const thing of owned) thing.dispose();
  };
  try {
    const layers = new Map<WeightSpec, unknown>();
    for (const spec of weightSpecs(tree)) layers.set(spec, await loadLayer({ runtime, weights, dtype, own }, spec));
    return { layers: mapSpecs(tree, (spec) => layers.get(spec)), dispose };
  } catch (error) {
    dispose();
    throw error;
  }
}

async function loadLayer(loading: Loading, spec: WeightSpec): Promise<unknown> {
  switch (spec.role) {
    case 'matrix':
      return await loadMatrix(loading, spec);
    case 'convolution':
      return await loadConvolution(loading, spec);
    case 'table':
      return await loadTable(loading, spec);
    case 'tensor':
      return await loadTensor(loading, spec);
    case 'values':
      return await loadValues(loading, spec);
  }
}

async function loadMatrix(loading: Loading, spec: MatrixSpec): Promise<LinearWeight> {
  const { inputs, outputs, up } = spec;
  const bias = spec.bias === undefined ? undefined : await loadTensor(loading, vector(spec.bias, outputs));
  const label = stackedMatrices(spec)[0]![0]; // there is one at least
  const shape = { label, inputs, outputs, paired: up !== undefined, dtype: matrixDtype(spec, loading.dtype) };
  const weight = loading.own(allocateLinear(loading.runtime, bias ? { ...shape, bias } : shape));
  for await (const { index, values, place } of matrixBlocks(loading.weights, spec))
    writeBlock(weight, index, values, place);
  return weight;
}

async function loadConvolution(loading: Loading, { name, inputs, outputs }: ConvolutionSpec): Promise<ConvWeight> {
  const { runtime, weights, dtype } = loading;
  const bias = await loadTensor(loading, vector(`${name}.bias`, outputs));
  const weight = allocateConv(runtime, { label: name, inputs, outputs, dtype: floatDtype(dtype), bias });
  loading.own(weight.matrix);
  const width = TAPS * inputs;
  const shape = [outputs, inputs, 3, 3];
  for await (const { first, values } of weights.rows(`${name}.weight`, [outputs, width], { shape, step: LANES })) {
    for (let row = 0; row * width < values.length; row += LANES)
      writeConvBlock(weight, (first + row) / LANES, values.subarray(row * width, (row + LANES) * width));
  }
  return weight;
}

async function loadTable({ runtime, weights, dtype, own }: Loading, spec: TableSpec): Promise<EmbeddingTable> {
  const { count, width, normalized } = spec;
  const label = tableName(spec, weights.checkpoint);
  const table = own(allocateTable(runtime, { label, count, width, dtype: tableDtype(spec, dtype) }));
  for await (const { first, values } of weights.rows(label, [count, width]))
    writeRows(table, first, normalized ? normalizeRows(values, width) : values);
  return table;
}

async function loadTensor(loading: Loading, { label, shape, sources, make }: TensorSpec): Promise<Tensor> {
  const parts: Float32Array[] = [];
  for (const source of sources) parts.push(await loadValues(loading, source));
  const values = joined(parts);
  return loading.own(loading.runtime.tensor(shape, 'f32', label, make ? make(values) : values));
}

async function loadValues({ weights }: Loading, spec: ValuesSpec): Promise<Float32Array<ArrayBuffer>> {
  const shape = valuesShape(spec, weights.checkpoint);
  const values = await weights.values(spec.name, shape);
  const [rows = 1] = shape;
  const share = (spec.shape[0] ?? 1) / rows;
  if (share === 1) return values;
  const width = values.length / rows;
  const each = Array.from({ length: rows }, (_, row) => values.subarray(row * width, (row + 1) * width));
  return joined(each.flatMap((row) => new Array<Float32Array>(share).fill(row)));
}

function joined(parts: readonly Float32Array[]): Float32Array<ArrayBuffer> {
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Each row divided by its length. `rows` [n, width]. */
export function normalizeRows(rows: Float32Array, width: number): Float32Array<ArrayBuffer> {
  const out = new Float32Array(rows.length);
  for (let first = 0; first < rows.length; first += width) {
    const row = rows.subarray(first, first + width);
    const length = Math.max(LEAST_LENGTH, Math.hypot(...row));
    for (const [i, value] of row.entries()) out[first + i] = value / length;
  }
  return out;
}
