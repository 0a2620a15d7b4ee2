/** One layer of LlamaGen-B, one guided image. */

export const LAYER = { width: 768, heads: 12, headDim: 64, inner: 2048, rows: 2 } as const;
export const MODEL_LAYERS = 12;
export const IMAGE_TOKENS = 256;

/** Multiplications and additions of a layer's step. */
export function layerFlops(cached: number): number {
  const { width, inner, rows } = LAYER;
  return 2 * rows * (4 * width * width + 3 * width * inner + 2 * cached * width);
}

export function random(count: number): Float32Array<ArrayBuffer> {
  let state = 1;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 32 - 0.5) / 16;
  });
}
