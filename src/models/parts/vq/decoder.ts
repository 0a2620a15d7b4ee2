/**
 * The decoder of a VQ tokenizer: tokens → pixels. Images are f32 [Y, X, C], large ones in bands of rows, but for
 * the coarsest, whose every pixel attends to every other.
 * Source: FoundationVision/LlamaGen, tokenizer/tokenizer_image/vq_model.py, Decoder.
 */

import { attention } from '../../../kernels/attention/image.ts';
import { asImage, type BandedImage, mapBands, whole } from '../../../kernels/bands.ts';
import { conv } from '../../../kernels/conv/conv.ts';
import type { ConvWeight } from '../../../kernels/conv/weight.ts';
import { type EmbeddingTable, embedding } from '../../../kernels/embedding.ts';
import { type GroupNorm, groupNorm } from '../../../kernels/group-norm.ts';
import { linear } from '../../../kernels/linear/linear.ts';
import type { LinearWeight } from '../../../kernels/linear/weight.ts';
import { BAND_BYTES, pickBandRows } from '../../../kernels/slabs.ts';
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

export interface DecodeOptions {
  /**
   * Bytes of a band of rows, in which images are kept that are larger. It changes no bit of the pixels.
   * @defaultValue 32 MiB, or what a binding holds where that is less
   */
  readonly bandBytes?: number;
}

/** tokens u32 [N] → pixels in about [-1, 1], f32 [height, width, 3]. Throws ShapeError unless the grid has N places. */
export function decode(decoder: VqDecoder, tokens: Tensor, grid: LineGrid, options: DecodeOptions = {}): Tensor {
  const { bandBytes = Math.min(BAND_BYTES, tokens.runtime.maxBindingBytes) } = options;
  const [first, attend, second] = decoder.mid;
  const start = conv(asImage(codes(decoder, tokens, grid)), decoder.convIn);
  const middle = resnetBlock(second, attentionBlock(attend, resnetBlock(first, start)));
  const image = decoder.levels.reduce((x, level, i) => {
    const y = level.blocks.reduce(blockForward, x);
    const finer = decoder.levels[i + 1];
    return level.upsample && finer ? doubled(y, level.upsample, { finer, bandBytes }) : y;
  }, middle);
  const normed = groupNorm(image, decoder.normOut, { swish: true });
  return whole(conv(normed, decoder.convOut, { bandRows: image.rows }));
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
export function resnetBlock(block: ResnetBlock, x: BandedImage): BandedImage {
  const h = conv(groupNorm(x, block.norm1, { swish: true }), block.conv1);
  const residual = block.shortcut ? pointwise(x, block.shortcut) : x;
  return conv(groupNorm(h, block.norm2, { swish: true }), block.conv2, { residual });
}

/** x + out(attention(norm(x))), of an image of one band */
export function attentionBlock(block: AttentionBlock, x: BandedImage): BandedImage {
  const { rows, columns, channels } = x;
  const qkv = linear(asRows(whole(groupNorm(x, block.norm))), block.qkv);
  const y = linear(attention(qkv, block.out.label), block.out, { residual: asRows(whole(x)) });
  return asImage(y.reshape([rows, columns, channels]));
}

function blockForward(x: BandedImage, { resnet, attention: attend }: Level['blocks'][number]): BandedImage {
  const y = resnetBlock(resnet, x);
  return attend ? attentionBlock(attend, y) : y;
}

/** Twice as high and wide, in bands that hold what the finer level makes of it too. */
function doubled(
  x: BandedImage,
  upsample: ConvWeight,
  { finer, bandBytes }: { readonly finer: Level; readonly bandBytes: number },
): BandedImage {
  const channels = Math.max(upsample.outputs, ...finer.blocks.map(({ resnet }) => resnet.conv1.outputs));
  const bandRows = pickBandRows({ rows: 2 * x.rows, columns: 2 * x.columns, channels }, bandBytes);
  return conv(x, upsample, { upsample: true, bandRows });
}

/** A 1 x 1 convolution. */
function pointwise(x: BandedImage, weight: LinearWeight): BandedImage {
  return mapBands(x, weight.outputs, (band) =>
    linear(asRows(band), weight).reshape([...band.shape.slice(0, -1), weight.outputs]),
  );
}

/** [Y, X, C] → [Y · X, C] */
function asRows(x: Tensor): Tensor {
  const channels = x.shape.at(-1)!; // an image has three axes
  return x.reshape([x.count / channels, channels]);
}
