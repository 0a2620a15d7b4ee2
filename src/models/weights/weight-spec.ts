/**
 * Weights as data. A family says once, as a tree of these, what its layers take from a checkpoint; loading, counting
 * bytes, measuring quantization and telling checkpoints apart are each one walk over that tree, in its own order.
 */

import type { ConvWeight } from '../../kernels/conv/weight.ts';
import type { EmbeddingTable } from '../../kernels/embedding.ts';
import type { LinearWeight } from '../../kernels/linear/weight.ts';
import type { Shape } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';

/** A linear layer. It goes by the name of its first matrix. */
export interface MatrixSpec {
  readonly role: 'matrix';
  /** Several: matrices stacked in this order, such as q, k and v. */
  readonly name: string | readonly string[];
  /** Outputs of each of several matrices, where they are not equal parts. */
  readonly heights?: readonly number[];
  readonly inputs: number;
  /** Of all matrices together. */
  readonly outputs: number;
  /** Name of the gain to fold in, of the norm before the layer. */
  readonly gain?: string;
  /** Name of a second matrix of the same shape: `name` is the gate, this the up projection. */
  readonly up?: string;
  /** As many as there are names. */
  readonly bias?: string | readonly string[];
  /** Outputs are padded with zeros to a multiple of this, as the layer needs that reads them: 4, or 8 for a convolution. */
  readonly step?: 4 | 8;
  /** The checkpoint's own shape of one matrix, where it is not [outputs, inputs] (1 x 1 convolutions). */
  readonly shape?: Shape;
  /** The layer is rows [first, first + outputs) of one matrix of `height` rows; the others are not needed. */
  readonly rows?: { readonly first: number; readonly height: number };
  /** Stays in float when the others are quantized. */
  readonly unquantized?: boolean;
}

/** A 3 x 3 convolution. */
export interface ConvolutionSpec {
  readonly role: 'convolution';
  /** Stands before `.weight` [outputs, inputs, 3, 3] and `.bias` [outputs]. */
  readonly name: string;
  readonly inputs: number;
  readonly outputs: number;
}

/** Rows to look up by id, [count, width]. */
export interface TableSpec {
  readonly role: 'table';
  readonly name: string;
  /** Its name in checkpoints that lack the first. */
  readonly otherName?: string;
  readonly count: number;
  readonly width: number;
  /** A small table that much depends on is kept in f32. Default: the float beside the dtype of matrices. */
  readonly precise?: boolean;
  /** Rows are brought to length 1. */
  readonly normalized?: boolean;
}

/** A small f32 tensor, computed on the CPU from what the checkpoint holds, or from nothing: vectors, angles, biases. */
export interface TensorSpec {
  readonly role: 'tensor';
  readonly label: string;
  readonly shape: Shape;
  readonly sources: readonly ValuesSpec[];
  /** From the values of all sources, one after another. Default: these. */
  readonly make?: (values: Float32Array<ArrayBuffer>) => Float32Array<ArrayBuffer>;
}

/** Values that stay on the CPU. */
export interface ValuesSpec {
  readonly role: 'values';
  readonly name: string;
  readonly shape: Shape;
  /** The checkpoint may hold fewer rows, of which each stands for equally many; one row where nothing else is known. */
  readonly sharedRows?: boolean;
}

export type WeightSpec = MatrixSpec | ConvolutionSpec | TableSpec | TensorSpec | ValuesSpec;

interface LoadedByRole {
  readonly matrix: LinearWeight;
  readonly convolution: ConvWeight;
  readonly table: EmbeddingTable;
  readonly tensor: Tensor;
  readonly values: Float32Array<ArrayBuffer>;
}

/** A tree with its weights loaded: the same, each specification replaced by its layer, everything else as it is. */
export type Loaded<Tree> = Tree extends WeightSpec
  ? LoadedByRole[Tree['role']]
  : Tree extends object
    ? { readonly [Key in keyof Tree]: Loaded<Tree[Key]> }
    : Tree;

export const matrix = ofRole<MatrixSpec>('matrix');
export const convolution = ofRole<ConvolutionSpec>('convolution');
export const table = ofRole<TableSpec>('table');
export const tensor = ofRole<TensorSpec>('tensor');
export const values = ofRole<ValuesSpec>('values');

function ofRole<Spec extends WeightSpec>(role: Spec['role']): (spec: Omit<Spec, 'role'>) => Spec {
  return (spec) => ({ role, ...spec }) as Spec; // of that role
}

/** f32 [width]. Several names: equal parts of one vector. */
export function vector(name: string | readonly string[], width: number): TensorSpec {
  const names = [name].flat();
  const sources = names.map((part) => values({ name: part, shape: [width / names.length] }));
  return tensor({ label: names.join(' '), shape: [width], sources });
}

/** Every specification of a tree, depth first. */
export function* weightSpecs(tree: unknown): Generator<WeightSpec> {
  if (typeof tree !== 'object' || tree === null) return;
  if (isSpec(tree)) yield tree;
  else for (const branch of Object.values(tree)) yield* weightSpecs(branch);
}

/** The tree with each specification replaced. */
export function mapSpecs<Tree>(tree: Tree, replace: (spec: WeightSpec) => unknown): Loaded<Tree> {
  const map = (branch: unknown): unknown => {
    if (typeof branch !== 'object' || branch === null) return branch;
    if (isSpec(branch)) return replace(branch);
    if (Array.isArray(branch)) return branch.map(map);
    return Object.fromEntries(Object.entries(branch).map(([key, value]) => [key, map(value)]));
  };
  return map(tree) as Loaded<Tree>; // what `replace` gives for a role is its caller's to get right
}

function isSpec(branch: object): branch is WeightSpec {
  return 'role' in branch;
}

/** A layer's matrices that are stacked into one, each with its height in the checkpoint. */
export function stackedMatrices(spec: MatrixSpec): readonly (readonly [name: string, height: number])[] {
  const { name, heights, outputs, rows } = spec;
  const names = [name].flat();
  return names.map((one, i) => [one, rows?.height ?? heights?.[i] ?? outputs / names.length]);
}
