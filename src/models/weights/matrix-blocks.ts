/** From a checkpoint's matrices to blocks in the linear kernel's order, for those who store or measure them. */

import { LANES, packBlock } from '../../kernels/linear/weight.ts';
import type { Weights } from '../../tensor/checkpoint/weights.ts';
import { paddedGain } from './padding.ts';
import { type MatrixSpec, stackedMatrices } from './weight-spec.ts';

export interface MatrixBlock {
  /** Counts through the layer; gate and up blocks of a paired one take turns. */
  readonly index: number;
  /** Outputs in it: LANES, or fewer at the end of a matrix. */
  readonly outputs: number;
  /** The order of `packBlock`, the norm's gain multiplied in. */
  readonly values: Float32Array<ArrayBuffer>;
  /** The checkpoint and the tensors that it is of, for messages. */
  readonly place: string;
}

/** Every block of a layer. Throws FormatError for a tensor that is missing or of another shape. */
export async function* matrixBlocks(weights: Weights, spec: MatrixSpec): AsyncGenerator<MatrixBlock> {
  const { inputs, outputs, up, gain: gainName } = spec;
  const gain = gainName === undefined ? undefined : paddedGain(await weights.values(gainName, [inputs]));
  const stacked = stackedMatrices(spec);
  const sides = up === undefined ? [stacked] : [stacked, [[up, outputs] as const]];
  for (const [side, matrices] of sides.entries()) {
    let index = side;
    for await (const { rows, names } of blockRows(weights, matrices, spec)) {
      const place = `${weights.checkpoint.name}: ${[...names, ...(gain ? [gainName] : [])].join(', ')}`;
      yield { index, outputs: rows.length / inputs, values: packBlock(rows, inputs, gain), place };
      index += sides.length;
    }
  }
}

/** Rows of matrices one after another, LANES outputs at a time, and the matrices that they are of. */
async function* blockRows(
  weights: Weights,
  matrices: readonly (readonly [string, number])[],
  { inputs, outputs, shape, rows }: MatrixSpec,
): AsyncGenerator<{ readonly rows: Float32Array; readonly names: readonly string[] }> {
  const range = rows && { from: rows.first, to: rows.first + outputs };
  const size = LANES * inputs;
  let rest = new Float32Array();
  let names: string[] = [];
  for (const [name, height] of matrices) {
    names.push(name);
    for await (const { values } of weights.rows(name, [height, inputs], { shape, step: LANES, ...range })) {
      const all = rest.length === 0 ? values : joined(rest, values);
      let at = 0;
      for (; at + size <= all.length; at += size) {
        yield { rows: all.subarray(at, at + size), names };
        names = [name];
      }
      rest = all.slice(at);
    }
    if (rest.length === 0) names = [];
  }
  if (rest.length > 0) yield { rows: rest, names };
}

function joined(head: Float32Array, tail: Float32Array): Float32Array<ArrayBuffer> {
  const all = new Float32Array(head.length + tail.length);
  all.set(head);
  all.set(tail, head.length);
  return all;
}
