/** What a tree of weights takes from a checkpoint: names and shapes, and whether they are there. */

import type { QuantizedDtype } from '../../kernels/linear/quantize.ts';
import type { Checkpoint } from '../../tensor/checkpoint/checkpoint.ts';
import { FormatError } from '../../tensor/errors.ts';
import { count, describeShape, type Shape, sameShape } from '../../tensor/shape.ts';
import { quantizedDtype, quantizedLayer } from './quantized-layer.ts';
import { type MatrixSpec, stackedMatrices, type ValuesSpec, type WeightSpec, weightSpecs } from './weight-spec.ts';

/** Names that a message shows of many. */
const SHOWN = 5;

type Stored = Pick<Checkpoint, 'tensors'> & Partial<Pick<Checkpoint, 'name' | 'metadata'>>;

/** Shape of every tensor that is taken, by its name. The checkpoint, where there is one, decides between layouts. */
export function storedShapes(tree: unknown, checkpoint?: Stored): Map<string, Shape> {
  return new Map([...weightSpecs(tree)].flatMap((spec) => shapesOf(spec, checkpoint)));
}

/** Values in a checkpoint of the official layout. */
export function parameterCount(tree: unknown): number {
  return [...storedShapes(tree).values()].reduce((sum, shape) => sum + count(shape), 0);
}

/** What keeps a checkpoint from being one of `tree`, as `expected ..., got ...`; undefined if nothing does. */
export function misfit(tree: unknown, checkpoint: Stored, ignored: readonly RegExp[]): string | undefined {
  const expected = storedShapes(tree, checkpoint);
  for (const [name, shape] of expected) {
    const found = checkpoint.tensors.get(name);
    if (!found) return `expected a tensor ${name} ${describeShape(shape)}, got none; is it a checkpoint of this model?`;
    if (!sameShape(found.shape, shape))
      return `${name}: expected ${describeShape(shape)}, got ${describeShape(found.shape)}`;
  }
  const isKnown = (name: string) => expected.has(name) || ignored.some((pattern) => pattern.test(name));
  const others = [...checkpoint.tensors].filter(([name]) => !isKnown(name));
  if (others.length === 0) return undefined;
  const shown = others.slice(0, SHOWN).map(([name, { shape }]) => `${name} ${describeShape(shape)}`);
  const more = others.length > SHOWN ? ` and ${others.length - SHOWN} more` : '';
  return `expected no other tensors, got ${shown.join(', ')}${more}; is it a checkpoint of this model?`;
}

/** Throws FormatError for a checkpoint that lacks, misshapes or adds a tensor. */
export function expectFit(tree: unknown, checkpoint: Checkpoint, ignored: readonly RegExp[]): void {
  const wrong = misfit(tree, checkpoint, ignored);
  if (wrong !== undefined) throw new FormatError(`${checkpoint.name}: ${wrong}`);
}

/** The name that a checkpoint has for a table. */
export function tableName(
  { name, otherName }: { readonly name: string; readonly otherName?: string },
  checkpoint: Stored | undefined,
): string {
  return otherName !== undefined && checkpoint?.tensors.has(name) === false && checkpoint.tensors.has(otherName)
    ? otherName
    : name;
}

/** The shape that a checkpoint has for values whose rows may be shared. */
export function valuesShape({ name, shape, sharedRows }: ValuesSpec, checkpoint: Stored | undefined): Shape {
  if (!sharedRows) return shape;
  const [all = 1, ...row] = shape;
  const [rows = 1] = checkpoint?.tensors.get(name)?.shape ?? [];
  return [all % rows === 0 ? rows : all, ...row];
}

function shapesOf(spec: WeightSpec, checkpoint: Stored | undefined): (readonly [string, Shape])[] {
  switch (spec.role) {
    case 'matrix':
      return matrixShapes(spec, checkpoint && quantizedDtype(checkpoint));
    case 'convolution':
      return [
        [`${spec.name}.bias`, [spec.outputs]],
        [`${spec.name}.weight`, [spec.outputs, spec.inputs, 3, 3]],
      ];
    case 'table':
      return [[tableName(spec, checkpoint), [spec.count, spec.width]]];
    case 'tensor':
      return spec.sources.flatMap((source) => shapesOf(source, checkpoint));
    case 'values':
      return [[spec.name, valuesShape(spec, checkpoint)]];
  }
}

function matrixShapes(spec: MatrixSpec, quantized: QuantizedDtype | undefined): (readonly [string, Shape])[] {
  const { inputs, outputs, bias = [], gain, up, shape } = spec;
  const names = [bias].flat();
  const biases = names.map((name) => [name, [outputs / names.length]] as const);
  const layer = quantized && quantizedLayer(spec, quantized);
  if (layer) return [...biases, ...[layer.words, layer.scales].map(({ name, shape }) => [name, shape] as const)];
  return [
    ...biases,
    ...stackedMatrices(spec).map(([name, height]) => [name, shape ?? [height, inputs]] as const),
    ...(up === undefined ? [] : [[up, [outputs, inputs]] as const]),
    ...(gain === undefined ? [] : [[gain, [inputs]] as const]),
  ];
}
