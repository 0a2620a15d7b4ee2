/** How a family asks for its layers, whether they go to a GPU (`GpuLoader`) or are only counted (`SizeLoader`). */

import type { ConvWeight } from '../kernels/conv/weight.ts';
import type { EmbeddingTable } from '../kernels/embedding.ts';
import { floatDtype, type LinearWeight, type MatrixDtype } from '../kernels/linear/weight.ts';
import type { Tensor } from '../tensor/tensor.ts';

export interface LinearSource {
  /** Several: matrices stacked in this order, such as q, k and v. */
  readonly name: string | readonly string[];
  /** Outputs of each of several matrices, where they are not equal parts. */
  readonly heights?: readonly number[];
  readonly inputs: number;
  /** Of all matrices together. */
  readonly outputs: number;
  /** Name of the norm's gain to fold in. */
  readonly gain?: string;
  /** Name of a second matrix of the same shape: `name` is the gate, this the up projection. */
  readonly up?: string;
  /** As many as there are names. */
  readonly bias?: string | readonly string[];
  /** The checkpoint's own shape of one matrix, where it is not [outputs, inputs] (1 x 1 convolutions). */
  readonly shape?: readonly number[];
  /** The layer is rows [first, first + outputs) of one matrix of `height` rows; the others are not needed. */
  readonly rows?: { readonly first: number; readonly height: number };
}

export interface ConvSource {
  /** Stands before `.weight` [outputs, inputs, 3, 3] and `.bias` [outputs]. */
  readonly name: string;
  readonly inputs: number;
  readonly outputs: number;
}

export interface TableSource {
  /** Of a tensor [count, width]. */
  readonly name: string;
  readonly count: number;
  readonly width: number;
  /** A small table that much depends on is kept in f32. Default: the dtype of matrices. */
  readonly precise?: boolean;
  /** Rows are brought to length 1. */
  readonly normalized?: boolean;
}

/** A layer goes by the name of its first matrix. */
export function layerName({ name }: LinearSource): string {
  return [name].flat()[0]!;
}

/** Storage of a layer by that name. */
export function layerDtype(name: string, dtype: MatrixDtype, unquantized: readonly RegExp[]): MatrixDtype {
  return unquantized.some((pattern) => pattern.test(name)) ? floatDtype(dtype) : dtype;
}

/** Matrices that are stacked into one layer, each with its height in the checkpoint. */
export function stackedMatrices(source: LinearSource): readonly (readonly [string, number])[] {
  const { name, heights, outputs, rows } = source;
  const names = [name].flat();
  return names.map((matrix, i) => [matrix, rows?.height ?? heights?.[i] ?? outputs / names.length]);
}

/**
 * Each method takes tensors by name from the checkpoint; every one must be taken once. All throw FormatError for a tensor
 * that is missing or of another shape. What they return may be handed on and used in a recording, but not looked into.
 */
export interface LayerLoader {
  linear(source: LinearSource): Promise<LinearWeight>;
  /** A 3 x 3 convolution. */
  conv(source: ConvSource): Promise<ConvWeight>;
  table(source: TableSource): Promise<EmbeddingTable>;
  /** f32 [width]. Several names: equal parts of one vector. */
  vector(name: string | readonly string[], width: number): Promise<Tensor>;
  /** The shape of a tensor of the checkpoint, where layouts differ; undefined where there is none, or nothing is loaded. */
  shape(name: string): readonly number[] | undefined;
  /** Values that stay on the CPU. */
  values(name: string, shape: readonly number[]): Promise<Float32Array<ArrayBuffer>>;
  /** An f32 tensor that no checkpoint holds, such as a table of angles. */
  constant(label: string, shape: readonly number[], values: () => Float32Array<ArrayBuffer>): Tensor;
}
