/** From a checkpoint in float to one whose matrices are whole numbers, a slice at a time: what loading would do, once. */

import { type QuantizedDtype, quantizeBlock } from '../../kernels/linear/quantize.ts';
import { LANES } from '../../kernels/linear/weight.ts';
import type { Checkpoint } from '../../tensor/checkpoint/checkpoint.ts';
import { layOut, type PlacedTensor } from '../../tensor/checkpoint/safetensors-layout.ts';
import { type LoadOptions, Weights } from '../../tensor/checkpoint/weights.ts';
import { toHalf } from '../../tensor/dtype.ts';
import { OptionError } from '../../tensor/errors.ts';
import type { Shape } from '../../tensor/shape.ts';
import { matrixBlocks } from './matrix-blocks.ts';
import { expectFloat, type QuantizedLayer, quantizedLayer, quantizedMetadata } from './quantized-layer.ts';
import { storedShapes } from './stored-shapes.ts';
import { type MatrixSpec, weightSpecs } from './weight-spec.ts';

export interface QuantizeOptions extends LoadOptions {
  readonly dtype: QuantizedDtype;
  /** Name of the model, for whoever looks into the file. */
  readonly model: string;
  /** Puts bytes into the file, in any order; each has its own place. */
  readonly write: (position: number, bytes: Uint8Array<ArrayBuffer>) => Promise<void>;
}

export interface QuantizedFile {
  /** Of the new file. */
  readonly bytes: number;
  /** Layers that are whole numbers now. */
  readonly layers: number;
}

/**
 * Writes safetensors of what `tree` takes from the checkpoint: matrices that it does not keep in float as whole numbers
 * (`quantized-layer.ts`), all else as it was stored.
 *
 * Throws OptionError where nothing is to quantize, FormatError for values that cannot be, and the signal's reason.
 */
export async function quantizeCheckpoint(
  checkpoint: Checkpoint,
  tree: unknown,
  { dtype, model, write, ...options }: QuantizeOptions,
): Promise<QuantizedFile> {
  expectFloat(checkpoint);
  const layers = [...weightSpecs(tree)].flatMap((spec) => {
    const layer = spec.role === 'matrix' ? quantizedLayer(spec, dtype) : undefined;
    return layer ? [{ spec: spec as MatrixSpec, layer }] : [];
  });
  if (layers.length === 0)
    throw new OptionError(`${checkpoint.name}: expected matrices to quantize, got none: all of them stay in float`);

  const metadata = quantizedMetadata(dtype, model);
  const tensors = [...storedShapes(tree, { ...checkpoint, metadata })].map(([name, shape]) => {
    const stored = checkpoint.tensors.get(name);
    return { name, shape, dtype: stored?.dtype ?? (name.endsWith('.words') ? 'u32' : 'f16') } as const;
  });
  const file = layOut(tensors, metadata);
  const weights = new Weights(checkpoint, options, storedShapes(tree, checkpoint).keys());
  await write(0, file.header);
  for (const { name, shape } of tensors)
    if (checkpoint.tensors.has(name)) await copy(weights, { name, shape }, file.places, write);
  for (const { spec, layer } of layers) await quantize(weights, spec, { layer, dtype, places: file.places, write });
  return { bytes: file.bytes, layers: layers.length };
}

type Places = ReadonlyMap<string, PlacedTensor>;

async function copy(
  weights: Weights,
  { name, shape }: { readonly name: string; readonly shape: Shape },
  places: Places,
  write: QuantizeOptions['write'],
): Promise<void> {
  const { start, bytes } = places.get(name)!; // laid out of the same names
  const [rows = 1] = shape;
  for await (const slice of weights.stored(name, shape)) await write(start + slice.first * (bytes / rows), slice.bytes);
}

async function quantize(
  weights: Weights,
  spec: MatrixSpec,
  {
    layer,
    dtype,
    places,
    write,
  }: { readonly layer: QuantizedLayer; readonly places: Places } & Pick<QuantizeOptions, 'dtype' | 'write'>,
): Promise<void> {
  const { inputs } = spec;
  for await (const { index, values, place } of matrixBlocks(weights, spec)) {
    const { words, scales } = quantizeBlock(values, inputs, LANES, dtype, place);
    for (const [{ name }, numbers] of [
      [layer.words, words],
      [layer.scales, toHalf(scales)],
    ] as const)
      await write(places.get(name)!.start + index * numbers.byteLength, bytesOf(numbers)); // likewise
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
