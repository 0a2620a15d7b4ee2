/**
 * The decoder of a VQ tokenizer: tokens → pixels. Images are f32 [Y, X, C].
 * Source: FoundationVision/LlamaGen, tokenizer/tokenizer_image/vq_model.py, Decoder.
 */

import { attention } from '../../../kernels/attention/image.ts';
import { conv } from '../../../kernels/conv/conv.ts';
import type { ConvWeight } from '../../../kernels/conv/weight.ts';
import { type EmbeddingTable, embedding } from '../../../kernels/embedding.ts';
import { type GroupNorm, groupNorm } from '../../../kernels/group-norm.ts';
import { linear } from '../../../kernels/linear/linear.ts';
import type { LinearWeight } from '../../../kernels/linear/weight.ts';
import { ShapeError } from '../../../tensor/errors.ts';
import type { Tensor } from '../../../tensor/tensor.ts';
import type { LineGrid } from '../../image-model.ts';

export interface ResnetBlock {
  readonly norm1: GroupNorm;
  readonly conv1: ConvWeight;
  readonly norm2: GroupNorm;
  readonly conv2: ConvWeight;
  /** Where the channels change. */
  readonly shortcut: LinearWeight | undefined;
}

export interface AttentionBlock {
  readonly norm: GroupNorm;
  /** [3 C, C]: q, k, v. */
  readonly qkv: LinearWeight;
  readonly out: LinearWeight;
}

export interface Level {
  /** Attention stands in the coarsest level only. */
  readonly blocks: readonly { readonly resnet: ResnetBlock; readonly attention: AttentionBlock | undefined }[];
  /** Of all but the finest level. */
  readonly upsample: ConvWeight | undefined;
}

export interface VqDecoder {
  /** Rows already of length 1 where the tokenizer asks for it. */
  readonly codebook: EmbeddingTable;
  readonly postQuant: LinearWeight;
  readonly convIn: ConvWeight;
  readonly mid: readonly [ResnetBlock, AttentionBlock, ResnetBlock];
  /** The coarsest first. */
  readonly levels: readonly Level[];
  readonly normOut: GroupNorm;
  readonly convOut: ConvWeight;
}

/** tokens u32 [N] → pixels in about [-1, 1], f32 [height, width, 3]. Throws ShapeError unless the grid has N places. */
export function decode(decoder: VqDecoder, tokens: Tensor, grid: LineGrid): Tensor {
  const [first, attend, second] = decoder.mid;
  const start = conv(codes(decoder, tokens, grid), decoder.convIn);
  const middle = resnetBlock(second, attentionBlock(attend, resnetBlock(first, start)));
  const image = decoder.levels.reduce((x, level) => levelForward(level, x), middle);
  return conv(groupNorm(image, decoder.normOut, { swish: true }), decoder.convOut);
}

/** tokens u32 [N] → what the decoder's first convolution reads, [lines, lineLength, Z]. */
export function codes(decoder: VqDecoder, tokens: Tensor, { lines, lineLength }: LineGrid): Tensor {
  if (tokens.count !== lines * lineLength) {
    throw new ShapeError(`${decoder.codebook.label}: expected ${lines} x ${lineLength} tokens, got ${tokens.count}`);
  }
  const rows = linear(embedding(tokens, decoder.codebook), decoder.postQuant);
  return rows.reshape([lines, lineLength, decoder.postQuant.outputs]);
}

/** x + conv(swish(norm(conv(swish(norm(x))))), x through the shortcut where the channels change */
export function resnetBlock(block: ResnetBlock, x: Tensor): Tensor {
  const h = conv(groupNorm(x, block.norm1, { swish: true }), block.conv1);
  const residual = block.shortcut ? pointwise(x, block.shortcut) : x;
  return conv(groupNorm(h, block.norm2, { swish: true }), block.conv2, { residual });
}

/** x + out(attention(norm(x))) */
export function attentionBlock(block: AttentionBlock, x: Tensor): Tensor {
  const rows = asRows(x);
  const qkv = linear(groupNorm(rows, block.norm), block.qkv);
  return linear(attention(qkv, block.out.label), block.out, { residual: rows }).reshape(x.shape);
}

function levelForward({ blocks, upsample }: Level, x: Tensor): Tensor {
  const y = blocks.reduce((h, { resnet, attention: attend }) => {
    const next = resnetBlock(resnet, h);
    return attend ? attentionBlock(attend, next) : next;
  }, x);
  return upsample ? conv(y, upsample, { upsample: true }) : y;
}

/** A 1 x 1 convolution. */
function pointwise(x: Tensor, weight: LinearWeight): Tensor {
  return linear(asRows(x), weight).reshape([...x.shape.slice(0, -1), weight.outputs]);
}

/** [Y, X, C] → [Y · X, C] */
function asRows(x: Tensor): Tensor {
  const channels = x.shape.at(-1)!; // an image has three axes
  return x.reshape([x.count / channels, channels]);
}
