/** LlamaGen's 2D rotary embedding. Source: autoregressive/models/gpt.py, precompute_freqs_cis_2d. */

/**
 * cos and sin [condition + side², D / 2, 2].
 *
 *     f_j = base^(−2j / (D/2)),   j < D/4
 *     angles of the token at (row, column) = [row · f, column · f], one for each pair of neighboring channels
 *
 * Condition positions are zeros, not the identity: their keys and queries vanish, as in the reference.
 */
export function rotationTable(
  condition: number,
  side: number,
  headDim: number,
  base: number,
): Float32Array<ArrayBuffer> {
  const quarter = headDim / 4;
  const table = new Float32Array((condition + side * side) * headDim);
  for (let token = 0; token < side * side; token++) {
    const at = (condition + token) * headDim;
    const coordinates = [Math.floor(token / side), token % side];
    for (const [half, coordinate] of coordinates.entries()) {
      for (let j = 0; j < quarter; j++) {
        const angle = Math.fround(coordinate * Math.fround(base ** ((-4 * j) / headDim)));
        const pair = at + 2 * (half * quarter + j);
        table[pair] = Math.cos(angle);
        table[pair + 1] = Math.sin(angle);
      }
    }
  }
  return table;
}
