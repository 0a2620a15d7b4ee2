/** What quantizing a checkpoint's matrices costs each of them, from the checkpoint alone; no GPU is needed. */

import { dequantizeBlock, type QuantizedDtype, quantizeBlock } from '../../kernels/linear/quantize.ts';
import { isQuantized, LANES, type MatrixDtype } from '../../kernels/linear/weight.ts';
import type { Checkpoint, StoredTensor } from '../../tensor/checkpoint/checkpoint.ts';
import { type LoadOptions, Weights } from '../../tensor/checkpoint/weights.ts';
import { matrixBlocks } from './matrix-blocks.ts';
import { expectFloat } from './quantized-layer.ts';
import { matrixBytes, matrixDtype } from './weight-bytes.ts';
import { type MatrixSpec, matrix, stackedMatrices, weightSpecs } from './weight-spec.ts';

/** A matrix of the checkpoint, the gain of the norm before it folded in: w, and ŵ that its whole numbers stand for. */
export interface MatrixError {
  readonly name: string;
  /** [outputs, inputs] */
  readonly shape: readonly [number, number];
  /** f16 where the family keeps it in float: nothing is measured then. */
  readonly dtype: MatrixDtype;
  /** On the GPU, if it stood alone: padding and scales included. */
  readonly bytes: number;
  /** Σ (w − ŵ)² and Σ w². */
  readonly errorSquares: number;
  readonly weightSquares: number;
  /** max |w − ŵ| */
  readonly largest: number;
}

/** (ours) What a checkpoint of no known model most likely keeps in float: what the families keep, and tables. */
const USUALLY_FLOAT: readonly RegExp[] = [
  /embed|codebook|quantize|aligner|vision|vq|norm|bias/,
  /(^|\.)(output|[a-z_]*head)\./,
];

const UNMEASURED = { errorSquares: 0, weightSquares: 0, largest: 0 };

/**
 * Every matrix of the tree in its order.
 *
 * Throws OptionError for one that is quantized, FormatError for one that is not of the tree or values that cannot be
 * quantized; and the signal's reason.
 */
export async function quantizationErrors(
  tree: unknown,
  checkpoint: Checkpoint,
  { dtype, ...options }: LoadOptions & { readonly dtype: QuantizedDtype },
): Promise<readonly MatrixError[]> {
  expectFloat(checkpoint);
  const alone = [...weightSpecs(tree)].flatMap((spec) => (spec.role === 'matrix' ? separateMatrices(spec) : []));
  const names = alone.flatMap(({ name, gain }) => [name, ...(gain === undefined ? [] : [gain])].flat());
  const weights = new Weights(checkpoint, options, new Set(names));
  const errors: MatrixError[] = [];
  for (const spec of alone) {
    const { inputs, outputs } = spec;
    const stored = matrixDtype(spec, dtype);
    const sums = isQuantized(stored) ? await measure(weights, spec, stored) : UNMEASURED;
    const bytes = matrixBytes(inputs, outputs, stored);
    errors.push({ name: String(spec.name), shape: [outputs, inputs], dtype: stored, bytes, ...sums });
  }
  return errors;
}

/** Of a checkpoint of no known model: all that the linear kernel could take but what is named like tables, norms and heads. */
export function likelyMatrices({ tensors }: Checkpoint): readonly MatrixSpec[] {
  return [...tensors.values()]
    .filter(isLikelyMatrix)
    .map(({ name, shape }) => matrix({ name, outputs: shape[0]!, inputs: shape[1]! })); // two sizes, as just seen
}

/** Root of the mean square of w − ŵ over that of w, of one matrix or of several together; 0 for zeros. */
export function relativeError(matrices: readonly MatrixError[]): number {
  const sum = (pick: (matrix: MatrixError) => number) => matrices.reduce((total, matrix) => total + pick(matrix), 0);
  const squares = sum(({ weightSquares }) => weightSquares);
  return squares === 0 ? 0 : Math.sqrt(sum(({ errorSquares }) => errorSquares) / squares);
}

/** The matrices that a layer stacks or pairs, each as a layer of its own. */
function separateMatrices(spec: MatrixSpec): readonly MatrixSpec[] {
  const { up, heights: _, bias: __, ...rest } = spec;
  const stacked = stackedMatrices(spec).map(([name, height]) => ({
    ...rest,
    name,
    outputs: spec.rows ? spec.outputs : height,
  }));
  return up === undefined ? stacked : [...stacked, { ...rest, name: up }];
}

async function measure(weights: Weights, spec: MatrixSpec, dtype: QuantizedDtype): Promise<typeof UNMEASURED> {
  let [errorSquares, weightSquares, largest] = [0, 0, 0];
  for await (const { values, place } of matrixBlocks(weights, spec)) {
    const kept = dequantizeBlock(quantizeBlock(values, spec.inputs, LANES, dtype, place), values.length, LANES, dtype);
    for (let i = 0; i < values.length; i++) {
      const error = values[i]! - kept[i]!;
      errorSquares += error * error;
      weightSquares += values[i]! * values[i]!;
      largest = Math.max(largest, Math.abs(error));
    }
  }
  return { errorSquares, weightSquares, largest };
}

function isLikelyMatrix({ name, shape: [, inputs = 0, ...more], dtype }: StoredTensor): boolean {
  const isFloat = ['f64', 'f32', 'f16', 'bf16'].includes(dtype);
  return (
    isFloat &&
    more.length === 0 &&
    inputs > 0 &&
    inputs % 4 === 0 &&
    !USUALLY_FLOAT.some((pattern) => pattern.test(name))
  );
}
