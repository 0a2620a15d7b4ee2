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
import { widen } from '../../tensor/dtype.ts';
import { FormatError } from '../../tensor/errors.ts';
import type { Runtime } from '../../tensor/runtime.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { matrixBlocks } from './matrix-blocks.ts';
import { paddedChannels, paddedMatrix, paddedRows, paddedWidth } from './padding.ts';
import { layerName, type QuantizedLayer, quantizedDtype, quantizedLayer } from './quantized-layer.ts';
import { storedShapes, tableName, valuesShape } from './stored-shapes.ts';
import { matrixDtype, tableDtype } from './weight-bytes.ts';
import {
  type ConvolutionSpec,
  type Loaded,
  type MatrixSpec,
  mapSpecs,
  type TableSpec,
  type TensorSpec,
  type ValuesSpec,
  vector,
  type WeightSpec,
  weightSpecs,
} from './weight-spec.ts';

/** The least size that f16 rounds to infinity. */
const HALF_OVERFLOW = 65520;

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
 * Loads a tree in its order. `dtype` is that of matrices, unless the checkpoint holds whole numbers; vectors stay f32. Throws FormatError for a tensor that is
 * missing or of another shape; a failure gives back all memory.
 */
export async function loadWeights<Tree>(
  runtime: Runtime,
  tree: Tree,
  {
    checkpoint,
    dtype: asked,
    ...options
  }: LoadOptions & { readonly checkpoint: Checkpoint; readonly dtype: MatrixDtype },
): Promise<LoadedWeights<Tree>> {
  const weights = new Weights(checkpoint, options, storedShapes(tree, checkpoint).keys());
  const dtype = quantizedDtype(checkpoint) ?? asked;
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
  const { inputs, outputs } = paddedMatrix(spec);
  const bias =
    spec.bias === undefined ? undefined : await loadTensor(loading, biasSpec(spec.bias, spec.outputs, outputs));
  const label = layerName(spec);
  const dtype = matrixDtype(spec, loading.dtype);
  const shape = { label, inputs, outputs, paired: spec.up !== undefined, dtype };
  const weight = loading.own(allocateLinear(loading.runtime, bias ? { ...shape, bias } : shape));
  const stored = quantizedDtype(loading.weights.checkpoint);
  const layer = stored && quantizedLayer(spec, stored);
  if (layer) {
    await loadQuantized(loading.weights, layer, weight);
    return weight;
  }
  for await (const { index, values, place } of matrixBlocks(loading.weights, spec)) {
    if (dtype === floatDtype(dtype)) expectFinite(values, dtype, place); // quantizing asks for itself
    writeBlock(weight, index, values, place);
  }
  return weight;
}

/** Words and scales as they are stored. Throws FormatError for a scale that is not finite. */
async function loadQuantized(weights: Weights, layer: QuantizedLayer, weight: LinearWeight): Promise<void> {
  for (const { tensor, scales, firstBlock, blocks } of weight.parts) {
    const range = { from: firstBlock, to: firstBlock + blocks };
    const { words } = layer;
    for await (const { first, bytes } of weights.stored(words.name, words.shape, { dtype: 'u32', ...range }))
      tensor.writeAt((first - firstBlock) * words.shape[1], wordsOf(bytes));
    const { name, shape } = layer.scales;
    const place = `${weights.checkpoint.name}: ${name}`;
    for await (const { first, bytes } of weights.stored(name, shape, { dtype: 'f16', ...range })) {
      const values = widen(bytes, 'f16', place);
      expectFinite(values, 'f16', place);
      scales?.writeAt((first - firstBlock) * shape[1], values);
    }
  }
}

async function loadConvolution(loading: Loading, spec: ConvolutionSpec): Promise<ConvWeight> {
  const { runtime, weights } = loading;
  const { name, outputs } = spec;
  const inputs = paddedChannels(spec.inputs);
  const dtype = floatDtype(loading.dtype);
  const bias = await loadTensor(loading, vector(`${name}.bias`, outputs));
  const weight = allocateConv(runtime, { label: name, inputs, outputs, dtype, bias });
  loading.own(weight.matrix);
  const width = TAPS * inputs;
  const stored = [outputs, TAPS * spec.inputs] as const;
  const options = { shape: [outputs, spec.inputs, 3, 3], step: LANES };
  for await (const slice of weights.rows(`${name}.weight`, stored, options)) {
    expectFinite(slice.values, dtype, `${weights.checkpoint.name}: ${name}.weight`);
    const values = paddedRows(slice.values, stored[1], width);
    for (let row = 0; row * width < values.length; row += LANES)
      writeConvBlock(weight, (slice.first + row) / LANES, values.subarray(row * width, (row + LANES) * width));
  }
  return weight;
}

async function loadTable({ runtime, weights, dtype, own }: Loading, spec: TableSpec): Promise<EmbeddingTable> {
  const { count, width, normalized } = spec;
  const label = tableName(spec, weights.checkpoint);
  const stored = tableDtype(spec, dtype);
  const table = own(allocateTable(runtime, { label, count, width: paddedWidth(width), dtype: stored }));
  for await (const { first, values } of weights.rows(label, [count, width])) {
    const rows = normalized ? normalizeRows(values, width) : values;
    expectFinite(rows, stored, `${weights.checkpoint.name}: ${label}`);
    writeRows(table, first, paddedRows(rows, width, table.width));
  }
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
  expectFinite(values, 'f32', `${weights.checkpoint.name}: ${spec.name}`);
  const [rows = 1] = shape;
  const share = (spec.shape[0] ?? 1) / rows;
  if (share === 1) return values;
  const width = values.length / rows;
  const each = Array.from({ length: rows }, (_, row) => values.subarray(row * width, (row + 1) * width));
  return joined(each.flatMap((row) => new Array<Float32Array>(share).fill(row)));
}

/** Zeros behind the bias of outputs that are padded. */
function biasSpec(name: string | readonly string[], outputs: number, padded: number): TensorSpec {
  const make = (values: Float32Array<ArrayBuffer>) => paddedRows(values, outputs, padded);
  return { ...vector(name, outputs), shape: [padded], make };
}

/** Throws FormatError for a value that is not finite, or that f16 would make infinite: every token after it would be wrong. */
function expectFinite(values: Float32Array, dtype: MatrixDtype, place: string): void {
  const end = dtype === 'f16' ? HALF_OVERFLOW : Number.POSITIVE_INFINITY;
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (Math.abs(value) < end) continue; // which NaN is not
    const remedy = Number.isFinite(value) ? "load it with dtype 'f32'" : 'the checkpoint is damaged';
    throw new FormatError(`${place}: expected weights that are finite in ${dtype}, got ${value}; ${remedy}`);
  }
}

function wordsOf(bytes: Uint8Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  return new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 4);
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
