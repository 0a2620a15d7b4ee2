/** The operations of a VQ decoder in slow plain TypeScript, summed in f64. Images are [Y, X, C]. */

export interface Image {
  readonly rows: number;
  readonly columns: number;
  readonly channels: number;
  readonly values: ArrayLike<number>;
}

/** Nearest neighbor, both sides doubled. */
export function doubleImage({ rows, columns, channels, values }: Image): Image {
  const out = new Float64Array(4 * rows * columns * channels);
  for (let i = 0; i < out.length; i++) {
    const pixel = Math.floor(i / channels);
    const y = Math.floor(pixel / (2 * columns)) >> 1;
    const x = (pixel % (2 * columns)) >> 1;
    out[i] = values[(y * columns + x) * channels + (i % channels)]!;
  }
  return { rows: 2 * rows, columns: 2 * columns, channels, values: out };
}

/** 3 x 3, a border of zeros. `weight` [outputs, channels, 3, 3], `bias` [outputs]. */
export function convImage(image: Image, weight: ArrayLike<number>, bias: ArrayLike<number>): Image {
  const { rows, columns, channels, values } = image;
  const outputs = bias.length;
  const out = new Float64Array(rows * columns * outputs);
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      for (let output = 0; output < outputs; output++) {
        let sum = bias[output]!;
        for (let tap = 0; tap < 9; tap++) {
          const v = y + Math.floor(tap / 3) - 1;
          const u = x + (tap % 3) - 1;
          if (v < 0 || v >= rows || u < 0 || u >= columns) continue;
          for (let c = 0; c < channels; c++) {
            sum += weight[(output * channels + c) * 9 + tap]! * values[(v * columns + u) * channels + c]!;
          }
        }
        out[(y * columns + x) * outputs + output] = sum;
      }
    }
  }
  return { rows, columns, channels: outputs, values: out };
}

export interface NormOptions {
  readonly groups: number;
  readonly epsilon: number;
  readonly swish: boolean;
}

/** `gain`, `bias` [channels]. Mean first, then the squared deviations from it. */
export function normImage(image: Image, gain: ArrayLike<number>, bias: ArrayLike<number>, options: NormOptions): Image {
  const { channels, values } = image;
  const width = channels / options.groups;
  const out = new Float64Array(values.length);
  for (let group = 0; group < options.groups; group++) {
    const places = Array.from(out.keys()).filter((i) => Math.floor((i % channels) / width) === group);
    const mean = places.reduce((sum, i) => sum + values[i]!, 0) / places.length;
    const variance = places.reduce((sum, i) => sum + (values[i]! - mean) ** 2, 0) / places.length;
    for (const i of places) {
      const v =
        ((values[i]! - mean) / Math.sqrt(variance + options.epsilon)) * gain[i % channels]! + bias[i % channels]!;
      out[i] = options.swish ? v / (1 + Math.exp(-v)) : v;
    }
  }
  return { ...image, values: out };
}

/** One head over all places. `qkv` [places, 3 · channels] → [places, channels]. */
export function attendAll(qkv: ArrayLike<number>, places: number, channels: number): Float64Array {
  const at = (place: number, part: number, c: number) => qkv[(place * 3 + part) * channels + c]!;
  const out = new Float64Array(places * channels);
  for (let query = 0; query < places; query++) {
    const products = Array.from({ length: places }, (_, key) => {
      let sum = 0;
      for (let c = 0; c < channels; c++) sum += at(query, 0, c) * at(key, 1, c);
      return sum / Math.sqrt(channels);
    });
    const largest = Math.max(...products);
    const weights = products.map((product) => Math.exp(product - largest));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    for (let c = 0; c < channels; c++) {
      let sum = 0;
      for (let key = 0; key < places; key++) sum += (weights[key]! / total) * at(key, 2, c);
      out[query * channels + c] = sum;
    }
  }
  return out;
}
