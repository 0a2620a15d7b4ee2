/** What quantizing a checkpoint's matrices costs each of them, from the checkpoint alone. */

import type { QuantizedDtype } from '../kernels/linear/quantize.ts';
import type { Checkpoint, StoredTensor } from '../tensor/checkpoint/checkpoint.ts';
import { type LoadOptions, Weights } from '../tensor/checkpoint/weights.ts';
import { ErrorLoader, type MatrixError } from './error-loader.ts';
import type { Fit } from './fitting.ts';

/** (ours) What a checkpoint of no known model most likely keeps in float: what the families keep, and tables. */
const USUALLY_FLOAT: readonly RegExp[] = [
  /embed|codebook|quantize|aligner|vision|vq|norm|bias/,
  /(^|\.)(output|[a-z_]*head)\./,
];

/**
 * Every matrix in the order of loading, as the family of `fit` folds and keeps them. Without one, all matrices
 * stand alone, and those named like tables, norms and heads are left out.
 *
 * Throws FormatError for a checkpoint that is not of `fit`, or values that cannot be quantized; and the signal's reason.
 */
export async function quantizationErrors(
  checkpoint: Checkpoint,
  dtype: QuantizedDtype,
  { fit, ...options }: LoadOptions & { readonly fit?: Fit } = {},
): Promise<readonly MatrixError[]> {
  if (fit) {
    const { preset, part } = fit;
    const named = preset.withOfficialNames?.(checkpoint) ?? checkpoint;
    const loader = new ErrorLoader(new Weights(named, preset.ignored(part), options), dtype, preset.unquantized(part));
    await preset.take(part, loader);
    return loader.matrices;
  }
  const matrices = [...checkpoint.tensors].filter(([, tensor]) => isMatrix(tensor));
  const loader = new ErrorLoader(new Weights({ ...checkpoint, tensors: new Map(matrices) }, [], options), dtype);
  for (const [name, { shape }] of matrices) await loader.linear({ name, inputs: shape[1]!, outputs: shape[0]! });
  return loader.matrices;
}

/** Whether the linear kernel could take it, and a family would quantize it. */
function isMatrix({ name, shape: [, inputs = 0, ...more], dtype }: StoredTensor): boolean {
  const isFloat = ['f64', 'f32', 'f16', 'bf16'].includes(dtype);
  return (
    isFloat &&
    more.length === 0 &&
    inputs > 0 &&
    inputs % 4 === 0 &&
    !USUALLY_FLOAT.some((pattern) => pattern.test(name))
  );
}
