/**
 * The decoder-only transformer that all families share: norm, attention, norm, gated MLP, each added to what came in.
 *
 * Sources: LlamaGen, autoregressive/models/gpt.py; transformers, modeling_llama.py; Lumina-mGPT, modeling_chameleon.py.
 */

import { linear } from '../../kernels/linear/linear.ts';
import type { LinearWeight } from '../../kernels/linear/weight.ts';
import { type QkNorm, qkNorm } from '../../kernels/qk-norm.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Memory, Rotation } from '../image-model.ts';

export interface Block {
  /** [(H + 2 G) · D, C], the gain of the norm before it folded in; likewise `gateUp`. */
  readonly qkv: LinearWeight;
  /** Of queries and keys, before they are turned; absent in most families. */
  readonly qkNorm?: QkNorm;
  readonly out: LinearWeight;
  readonly gateUp: LinearWeight;
  readonly down: LinearWeight;
}

export interface Transformer {
  readonly blocks: readonly Block[];
  readonly rotation: Rotation;
  readonly normEpsilon: number;
}

/** x [R · T, C] → the last block's output [R · T, C] */
export function forward(transformer: Transformer, x: Tensor, memory: Memory): Tensor {
  return transformer.blocks.reduce((h, block, layer) => blockForward(transformer, block, layer, h, memory), x);
}

/** h = x + wo(attention(norm(x)));  h + w2(silu(w1 norm(h)) · w3 norm(h)) */
export function blockForward(
  { rotation, normEpsilon }: Transformer,
  block: Block,
  layer: number,
  x: Tensor,
  memory: Memory,
): Tensor {
  const qkv = linear(x, block.qkv, { normEpsilon });
  const attended = memory.attend(layer, block.qkNorm ? qkNorm(qkv, block.qkNorm) : qkv, rotation);
  const h = linear(attended, block.out, { residual: x });
  return linear(linear(h, block.gateUp, { normEpsilon }), block.down, { residual: h });
}
