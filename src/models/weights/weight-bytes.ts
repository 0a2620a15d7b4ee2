/** Bytes of weights on the GPU before anything is loaded. */

import { TAPS } from '../../kernels/conv/weight.ts';
import { blockBytes, floatDtype, LANES, type MatrixDtype } from '../../kernels/linear/weight.ts';
import { ELEMENT_BYTES } from '../../tensor/dtype.ts';
import { count } from '../../tensor/shape.ts';
import { paddedChannels, paddedMatrix, paddedWidth } from './padding.ts';
import { type MatrixSpec, type TableSpec, type WeightSpec, weightSpecs } from './weight-spec.ts';

/** What a table's binding may hold before its first row. */
const UNALIGNED_BYTES = 16;

/** Padding included; `dtype` is that of matrices. */
export function weightBytes(tree: unknown, dtype: MatrixDtype): number {
  return [...weightSpecs(tree)].reduce((sum, spec) => sum + bytesOf(spec, dtype), 0);
}

/** The least that a binding must hold: all but tensors are cut into blocks of outputs, and rows of a table. */
export function weightBindingBytes(tree: unknown, dtype: MatrixDtype): number {
  return [...weightSpecs(tree)].reduce((most, spec) => Math.max(most, leastBytes(spec, dtype)), 0);
}

/** Storage of a layer. */
export function matrixDtype({ unquantized }: Pick<MatrixSpec, 'unquantized'>, dtype: MatrixDtype): MatrixDtype {
  return unquantized ? floatDtype(dtype) : dtype;
}

export function tableDtype({ precise }: Pick<TableSpec, 'precise'>, dtype: MatrixDtype): 'f32' | 'f16' {
  return precise ? 'f32' : floatDtype(dtype);
}

/** Bytes of one matrix in whole blocks of outputs. */
export function matrixBytes(inputs: number, outputs: number, dtype: MatrixDtype): number {
  return Math.ceil(outputs / LANES) * blockBytes(inputs, dtype);
}

function bytesOf(spec: WeightSpec, dtype: MatrixDtype): number {
  switch (spec.role) {
    case 'matrix': {
      const { up, bias } = spec;
      const { inputs, outputs } = paddedMatrix(spec);
      const one = matrixBytes(inputs, outputs, matrixDtype(spec, dtype));
      return one * (up === undefined ? 1 : 2) + (bias === undefined ? 0 : 4 * outputs);
    }
    case 'convolution':
      return matrixBytes(TAPS * paddedChannels(spec.inputs), spec.outputs, floatDtype(dtype)) + 4 * spec.outputs;
    case 'table':
      return spec.count * paddedWidth(spec.width) * ELEMENT_BYTES[tableDtype(spec, dtype)];
    case 'tensor':
      return 4 * count(spec.shape);
    case 'values':
      return 0; // on the CPU
  }
}

function leastBytes(spec: WeightSpec, dtype: MatrixDtype): number {
  switch (spec.role) {
    case 'matrix':
      return blockBytes(paddedMatrix(spec).inputs, matrixDtype(spec, dtype)) * (spec.up === undefined ? 1 : 2);
    case 'convolution':
      return blockBytes(TAPS * paddedChannels(spec.inputs), floatDtype(dtype));
    case 'table':
      return paddedWidth(spec.width) * ELEMENT_BYTES[tableDtype(spec, dtype)] + UNALIGNED_BYTES;
    case 'tensor':
      return 4 * count(spec.shape);
    case 'values':
      return 0;
  }
}
