/**
 * Layers that a checkpoint holds as whole numbers, in the blocks that the GPU takes: for a layer NAME, the first of its
 * matrices,
 *
 *     NAME.words   u32 [blocks, words of a block]
 *     NAME.scales  f16 [blocks, scales of a block]
 *
 * stacked, paired and padded, the gain of the norm before it folded in. Sizes and order: `quantizeBlock`.
 */

import { type QuantizedDtype, quantizedShape } from '../../kernels/linear/quantize.ts';
import { isQuantized, LANES } from '../../kernels/linear/weight.ts';
import type { Checkpoint } from '../../tensor/checkpoint/checkpoint.ts';
import { FormatError, OptionError } from '../../tensor/errors.ts';
import type { Shape } from '../../tensor/shape.ts';
import { show } from '../../tensor/show.ts';
import { paddedMatrix } from './padding.ts';
import { matrixDtype } from './weight-bytes.ts';
import { type MatrixSpec, stackedMatrices } from './weight-spec.ts';

/** Of the layout of blocks: another number for every change of it. */
const VERSION = '1';

const KEYS = { version: 'rasterline.quantized', dtype: 'rasterline.dtype', model: 'rasterline.model' } as const;

export interface QuantizedLayer {
  readonly blocks: number;
  readonly words: StoredBlocks;
  readonly scales: StoredBlocks;
}

/** A tensor [blocks, width]. */
export interface StoredBlocks {
  readonly name: string;
  readonly shape: readonly [number, number] & Shape;
}

/** What a checkpoint says of itself whose matrices are whole numbers of `dtype`. */
export function quantizedMetadata(dtype: QuantizedDtype, model: string): Readonly<Record<string, string>> {
  return { [KEYS.version]: VERSION, [KEYS.dtype]: dtype, [KEYS.model]: model };
}

/** Of a checkpoint's matrices; undefined for one in float. Throws FormatError for a layout that this version does not read. */
export function quantizedDtype({
  name = 'checkpoint',
  metadata = {},
}: Partial<Pick<Checkpoint, 'name' | 'metadata'>>): QuantizedDtype | undefined {
  const { [KEYS.version]: version, [KEYS.dtype]: dtype } = metadata;
  if (version === undefined) return undefined;
  if (version !== VERSION)
    throw new FormatError(
      `${name}: expected quantized weights of version ${VERSION}, got ${show(version)}; quantize the original again`,
    );
  if (dtype !== 'int8' && dtype !== 'int4')
    throw new FormatError(`${name}: expected quantized weights in int8 or int4, got ${show(dtype)}`);
  return dtype;
}

/** Throws OptionError for a checkpoint of whole numbers. */
export function expectFloat(checkpoint: Pick<Checkpoint, 'name' | 'metadata'>): void {
  const held = quantizedDtype(checkpoint);
  if (held === undefined) return;
  throw new OptionError(`${checkpoint.name}: expected weights in float, got ${held}; quantize the original`);
}

/** How a layer is stored when matrices are `dtype`; undefined where it stays in float. */
export function quantizedLayer(spec: MatrixSpec, dtype: QuantizedDtype): QuantizedLayer | undefined {
  if (!isQuantized(matrixDtype(spec, dtype))) return undefined;
  const { inputs, outputs } = paddedMatrix(spec);
  const { words, scales } = quantizedShape(inputs, LANES, dtype);
  const blocks = Math.ceil(outputs / LANES) * (spec.up === undefined ? 1 : 2);
  const name = layerName(spec);
  return {
    blocks,
    words: { name: `${name}.words`, shape: [blocks, words] },
    scales: { name: `${name}.scales`, shape: [blocks, scales] },
  };
}

/** The name that a layer goes by. */
export function layerName(spec: MatrixSpec): string {
  return stackedMatrices(spec)[0]![0]; // there is one at least
}
