/** What a token of a model must move and compute at least, whatever the kernels: the mean over an image. */

import { modelDefinition } from '../src/models/registry.ts';
import { matrixBytes } from '../src/models/weights/weight-bytes.ts';
import { ELEMENT_BYTES } from '../src/tensor/dtype.ts';

export interface TokenWork {
  readonly bytes: number;
  readonly flops: number;
}

/** Of all rows of a step, matrices and cache in f16: each matrix is read once a step, each live key and value once a row. */
export function tokenWork(
  model: string,
  { rows, budgetLines }: { readonly rows: number; readonly budgetLines: number },
): TokenWork {
  const { grid, geometry, width, intermediateSize, imageTokens } = modelDefinition(model);
  const { layers, heads, kvHeads, headDim } = geometry;
  const matrices = [
    [width, (heads + 2 * kvHeads) * headDim],
    [heads * headDim, width],
    [width, 2 * intermediateSize],
    [intermediateSize, width],
  ] as const;
  const sum = (of: (inputs: number, outputs: number) => number) =>
    layers * matrices.reduce((all, [inputs, outputs]) => all + of(inputs, outputs), 0) + of(width, imageTokens.count);
  const tokens = grid.lines * grid.lineLength;
  const most = budgetLines * grid.lineLength;
  const live = Array.from({ length: tokens }, (_, token) => Math.min(token + 1, most));
  const mean = live.reduce((all, count) => all + count, 0) / tokens;
  const keysAndValues = 2 * layers * kvHeads * headDim * mean * ELEMENT_BYTES.f16;
  const attention = 4 * layers * heads * headDim * mean;
  return {
    bytes: sum((inputs, outputs) => matrixBytes(inputs, outputs, 'f16')) + rows * keysAndValues,
    flops: rows * (sum((inputs, outputs) => 2 * inputs * outputs) + attention),
  };
}
