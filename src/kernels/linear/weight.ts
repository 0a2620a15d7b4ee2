/**
 * Weights of linear layers, packed for the kernel.
 *
 * Outputs are grouped in blocks of `LANES`. Inside a block the order is [chunk of 8 inputs][output][8 inputs]: threads of
 * a block that walk along the inputs read neighboring 16 bytes (f16). A matrix too large for one binding is split into
 * parts of whole blocks. A paired weight interleaves two matrices block by block, gate then up.
 */

import { ELEMENT_BYTES } from '../../tensor/dtype.ts';
import { DeviceError, ShapeError } from '../../tensor/errors.ts';
import type { Runtime } from '../../tensor/runtime.ts';
import { roundUp } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { type QuantizedDtype, quantizeBlock, quantizedBytes, quantizedShape } from './quantize.ts';

/** Outputs in a block, and threads that share it. */
export const LANES = 32;
/** Inputs in a chunk. */
export const CHUNK = 8;
/** Sizes of subgroups that a chunk, and a block, divide into. */
export const SUBGROUPS: readonly number[] = [4, 8, 16, 32];

/** How matrices are stored. */
export type MatrixDtype = 'f32' | 'f16' | QuantizedDtype;

export interface LinearPart {
  /** Values, or words of whole numbers. */
  readonly tensor: Tensor;
  /** Of a quantized weight. */
  readonly scales: Tensor | undefined;
  readonly firstBlock: number;
  readonly blocks: number;
}

export interface LinearWeight {
  readonly label: string;
  readonly inputs: number;
  /** Width of the result: for a paired weight that of one of the two matrices. */
  readonly outputs: number;
  readonly paired: boolean;
  readonly dtype: MatrixDtype;
  readonly parts: readonly LinearPart[];
  readonly bias: Tensor | undefined;
  dispose(): void;
}

export interface LinearShape {
  readonly label: string;
  readonly inputs: number;
  readonly outputs: number;
  readonly paired?: boolean;
  readonly dtype: MatrixDtype;
  readonly bias?: Tensor;
}

/** Elements of one block. */
export function blockCount(inputs: number): number {
  return LANES * roundUp(inputs, CHUNK);
}

export function isQuantized(dtype: MatrixDtype): dtype is QuantizedDtype {
  return dtype === 'int8' || dtype === 'int4';
}

/** Storage of what is not quantized beside matrices of that dtype: tables, convolutions, keys and values. */
export function floatDtype(dtype: MatrixDtype): 'f32' | 'f16' {
  return dtype === 'f32' ? 'f32' : 'f16';
}

/** Bytes of one block on the GPU, scales included. */
export function blockBytes(inputs: number, dtype: MatrixDtype): number {
  return isQuantized(dtype) ? quantizedBytes(inputs, LANES, dtype) : blockCount(inputs) * ELEMENT_BYTES[dtype];
}

/**
 * Memory for a linear layer, to be filled block by block with `packBlock`.
 *
 * Throws ShapeError when the inputs are no multiple of 4.
 */
export function allocateLinear(runtime: Runtime, shape: LinearShape): LinearWeight {
  const { label, inputs, outputs, paired = false, dtype, bias } = shape;
  if (inputs % 4 !== 0) throw new ShapeError(`${label}: expected a number of inputs that 4 divides, got ${inputs}`);
  const step = paired ? 2 : 1;
  const blocks = Math.ceil(outputs / LANES) * step;
  const bytes = blockBytes(inputs, dtype);
  const most = Math.floor(runtime.maxBindingBytes / bytes / step) * step;
  if (most === 0) {
    throw new DeviceError(
      `${label}: expected a binding limit of ${step * bytes} bytes, got ${runtime.maxBindingBytes}`,
    );
  }
  const parts: LinearPart[] = [];
  for (let firstBlock = 0; firstBlock < blocks; firstBlock += most) {
    const count = Math.min(most, blocks - firstBlock);
    parts.push({ ...allocatePart(runtime, shape, count), firstBlock, blocks: count });
  }
  const dispose = () => {
    for (const { tensor, scales } of parts) {
      tensor.dispose();
      scales?.dispose();
    }
    bias?.dispose();
  };
  return { label, inputs, outputs, paired, dtype, parts, bias, dispose };
}

function allocatePart(runtime: Runtime, { label, inputs, dtype }: LinearShape, blocks: number) {
  if (!isQuantized(dtype))
    return { tensor: runtime.tensor([blocks, blockCount(inputs)], dtype, label), scales: undefined };
  const { words, scales } = quantizedShape(inputs, LANES, dtype);
  return {
    tensor: runtime.tensor([blocks, words], 'u32', label),
    scales: runtime.tensor([blocks, scales], 'f16', `scales of ${label}`),
  };
}

/**
 * One block in the kernel's order. `rows` [n <= LANES, inputs] are the block's outputs; missing ones become zeros.
 * `gain` [inputs] is multiplied in: the gain of the norm before the layer.
 */
export function packBlock(rows: Float32Array, inputs: number, gain?: Float32Array): Float32Array<ArrayBuffer> {
  const packed = new Float32Array(blockCount(inputs));
  const outputs = rows.length / inputs;
  for (let output = 0; output < outputs; output++) {
    for (let input = 0; input < inputs; input++) {
      const chunk = Math.floor(input / CHUNK);
      const value = rows[output * inputs + input]! * (gain ? gain[input]! : 1);
      packed[(chunk * LANES + output) * CHUNK + (input % CHUNK)] = value;
    }
  }
  return packed;
}

/**
 * Writes a packed block, quantized on the way where the weight is. `block` counts through all parts.
 *
 * Throws FormatError, naming `place`, for values that cannot be quantized.
 */
export function writeBlock(
  weight: LinearWeight,
  block: number,
  packed: Float32Array<ArrayBuffer>,
  place = weight.label,
): void {
  const { label, inputs, dtype } = weight;
  const part = weight.parts.find(({ firstBlock, blocks }) => block >= firstBlock && block < firstBlock + blocks);
  if (!part) throw new ShapeError(`${label}: expected a block below its end, got ${block}`);
  const at = block - part.firstBlock;
  if (!isQuantized(dtype)) {
    part.tensor.writeAt(at * packed.length, packed);
    return;
  }
  const { words, scales } = quantizeBlock(packed, inputs, LANES, dtype, place);
  part.tensor.writeAt(at * words.length, words);
  part.scales?.writeAt(at * scales.length, scales);
}
