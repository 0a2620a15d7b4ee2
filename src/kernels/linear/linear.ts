/**
 * Linear layer, with what stands around it in a transformer: the norm before, the gate, activation or residual after.
 *
 *     y = f(W n(x) + b) + residual        x [R, C]   W [O, C]   b [O]   y [R, O]
 *
 * `n` is the root-mean-square norm when `normEpsilon` is given; its gain is folded into `W` on load, and its scale is one
 * number a row, so it costs no pass of its own. `f` is an activation, or for a paired weight `silu(gate) * up`, or
 * `activation(gate) * up` where one is given.
 * Sums in f32, in the order that `wgsl.ts` states for all variants: y does not depend on which is chosen, nor a row on
 * how many there are.
 */

import { ShapeError } from '../../tensor/errors.ts';
import { describeShape } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { QMAX } from './quantize.ts';
import { candidates } from './variants/index.ts';
import { isQuantized, type LinearWeight } from './weight.ts';

export type Activation = 'none' | 'geluTanh' | 'geluErf';

export interface LinearOptions {
  /** Added to the mean square of x; absent: no norm. */
  readonly normEpsilon?: number;
  readonly activation?: Activation;
  /** [R, O], added last. */
  readonly residual?: Tensor;
}

/** x [R, C] f32 → [R, O] f32. Throws ShapeError when the widths differ. */
export function linear(x: Tensor, weight: LinearWeight, options: LinearOptions = {}): Tensor {
  const { runtime } = x;
  const { paired, dtype, outputs, bias } = weight;
  const [rows, inputs] = x.matrix(`${weight.label}: x`);
  if (inputs !== weight.inputs) {
    throw new ShapeError(`${weight.label}: expected x [rows, ${weight.inputs}], got ${describeShape(x.shape)}`);
  }
  const y = runtime.result([rows, outputs], 'f32', weight.label);
  options.residual?.expect(`${weight.label}: residual`, y.shape);
  const fixed = {
    INPUTS: inputs,
    OUTPUTS: outputs,
    PAIRED: paired,
    NORM: options.normEpsilon !== undefined,
    EPSILON: options.normEpsilon ?? 0,
    BIAS: bias !== undefined,
    RESIDUAL: options.residual !== undefined,
    GELU_TANH: options.activation === 'geluTanh',
    GELU_ERF: options.activation === 'geluErf',
    ...(isQuantized(dtype) && { QMAX: QMAX[dtype] }),
  };
  const sizes = runtime.sizes([rows]);
  for (const { tensor, scales, firstBlock, blocks } of weight.parts) {
    const problem = { rows, inputs, blocks, paired, dtype };
    const tensors = {
      x,
      ...(scales ? { q: tensor, scales } : { w: tensor }),
      ...(bias && { bias }),
      ...(options.residual && { residual: options.residual }),
      sizes,
      y,
    };
    const ways = candidates(problem, runtime.traits).map(({ name, variant, tile }) => ({
      name,
      kernel: variant.kernel,
      tensors,
      constants: { ...fixed, FIRST_BLOCK: firstBlock, PART_BLOCKS: blocks, ...tile },
      workgroups: variant.workgroups(problem, tile),
    }));
    runtime.dispatchBest(problemName(problem), ways);
  }
  return y;
}

/** Problems of one name are tuned as one: rows in steps, since prompts have any length. */
function problemName(problem: {
  rows: number;
  inputs: number;
  blocks: number;
  paired: boolean;
  dtype: string;
}): string {
  const { rows, inputs, blocks, paired, dtype } = problem;
  return `linear ${dtype} ${blocks} blocks x ${inputs}${paired ? ' paired' : ''}, ${2 ** Math.ceil(Math.log2(rows))} rows`;
}
