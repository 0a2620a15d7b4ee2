/** The linear layer in plain f64. */

/** y [R, O] = x [R, C] · wᵀ [O, C] */
export function linearOracle(
  x: Float32Array,
  w: Float32Array,
  rows: number,
  inputs: number,
  outputs: number,
): Float64Array {
  const y = new Float64Array(rows * outputs);
  for (let r = 0; r < rows; r++) {
    for (let o = 0; o < outputs; o++) {
      let sum = 0;
      for (let c = 0; c < inputs; c++) sum += x[r * inputs + c]! * w[o * inputs + c]!;
      y[r * outputs + o] = sum;
    }
  }
  return y;
}

/** x / sqrt(mean(x²) + epsilon) · gain, row by row. Source: arXiv 1910.07467, eq. 4. */
export function rmsNormOracle(x: Float32Array, gain: Float32Array, epsilon: number): Float32Array {
  const width = gain.length;
  return x.map((value, i) => {
    const row = x.subarray(i - (i % width), i - (i % width) + width);
    const mean = row.reduce((sum, v) => sum + v * v, 0) / width;
    return (value / Math.sqrt(mean + epsilon)) * gain[i % width]!;
  });
}
