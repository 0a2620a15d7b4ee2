/**
 * What the variants of a convolution share: an implicit matrix product, whose register tile is PIXELS neighbors in a row
 * by UNITS outputs. Variants differ in how they read x.
 *
 * The order of a sum is the same in every variant and tile, so that all give the same bits: rows of taps, chunks of CHUNK
 * channels, taps of the row, channels of the chunk, each by `fma`; then the bias, then the residual. A column of x is read
 * once for the three taps that see it, a weight once for all pixels.
 */

import { type Constants, unroll } from '../../tensor/kernel.ts';
import { CHUNK, LANES } from '../linear/weight.ts';
import { TAPS } from './weight.ts';

export const BINDINGS = {
  w: 'read vec8',
  sizes: 'uniform Sizes',
  bias: 'read f32',
  residual: 'read f32',
  y: 'write f32',
} as const;

/** How a variant reads chunk c of a pixel. */
export interface Reading {
  /** More arguments of `main`. */
  readonly arguments: string;
  /** Where the pixel of that number begins in x. */
  place(pixel: string): string;
  /** Reads a column whose pixel begins at `at`, zeros unless `inside`. */
  read(column: number, at: string, inside: string): string;
  /** Channel k of the chunk. */
  input(column: number, k: number): string;
}

export function convBody(constants: Constants, reading: Reading): string {
  const { PIXELS, UNITS, GROUP, SCALE } = constants as { readonly [name: string]: number };
  const pixel = (piece: (pixel: number) => string) => unroll(PIXELS!, piece);
  const unit = (piece: (unit: number) => string) => unroll(UNITS!, piece);
  const columns = PIXELS! / SCALE! + 2;
  const column = (piece: (column: number) => string) => unroll(columns, piece);
  /** The pixels and taps that see a column of x. */
  const seen = (r: number, piece: (pixel: number, tap: number) => string) =>
    pixel((p) => unroll(3, (j) => (Math.floor((p + j - 1) / SCALE!) + 1 === r ? piece(p, j) : '')));
  const sum = (u: number, p: number, j: number) => {
    let chain = `s${u}_${p}`;
    for (let k = 0; k < CHUNK; k++)
      chain = `fma(a${k}, v${u}_${j}.${k < 4 ? 'low' : 'high'}.${'xyzw'[k % 4]}, ${chain})`;
    return `s${u}_${p} = ${chain};`;
  };
  const put = (u: number, p: number) => `
      if (u0 + ${p} < wide) {
        let place = (line + u32(u0 + ${p})) * sizes.outputs + output;
        var value = s${u}_${p} + offset;
        if (sizes.hasResidual == 1u) { value += residual[place]; }
        y[place] = value;
      }`;
  return `
/**
 * Rows and columns of x, whose first row here is \`window\`; the first row of y that is made, whose first row here is
 * \`top\`; chunks of x's channels, channels of y, and of these the first and the number in this part of the weight.
 */
struct Sizes {
  rows: i32, columns: i32, window: i32, first: i32, top: i32,
  chunks: u32, outputs: u32, output: u32, width: u32, hasResidual: u32,
}

@compute @workgroup_size(WIDTH, GROUP)
fn main(
  ${reading.arguments}
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let high = SCALE * sizes.rows;
  let wide = SCALE * sizes.columns;
  let v = sizes.first + i32(group.z);
  let u0 = i32(group.y * GROUP${GROUP! > 1 ? ' + local.y' : ''}) * PIXELS;
  let left = u0 / SCALE - 1;
  let blocks = (sizes.width - 1u) / ${LANES}u;
  ${column((r) => `let inside${r} = left + ${r} >= 0 && left + ${r} < sizes.columns;`)}
  ${unit(
    (u) => `let o${u} = (group.x * UNITS + ${u}u) * WIDTH + local.x;
  let w${u} = min(o${u} / ${LANES}u, blocks) * sizes.chunks * ${TAPS * LANES}u + o${u} % ${LANES}u;`,
  )}
  ${unit((u) => pixel((p) => `var s${u}_${p} = 0.0;`))}
  for (var i = 0; i < 3; i++) {
    let z = v + i - 1;
    if (z < 0 || z >= high) { continue; }
    let row = (z / SCALE - sizes.window) * sizes.columns;
    ${column((r) => `let at${r} = ${reading.place(`u32(row + clamp(left + ${r}, 0, sizes.columns - 1))`)};`)}
    for (var c = 0u; c < sizes.chunks; c++) {
      ${unit((u) => unroll(3, (j) => `let v${u}_${j} = w_at(w${u} + (u32(3 * i + ${j}) * sizes.chunks + c) * ${LANES}u);`))}
      ${column((r) => reading.read(r, `at${r}`, `inside${r}`))}
      ${column(
        (r) => `{
        ${unroll(CHUNK, (k) => `let a${k} = ${reading.input(r, k)};`)}
        ${seen(r, (p, j) => unit((u) => sum(u, p, j)))}
      }`,
      )}
    }
  }
  let line = u32((v - sizes.top) * wide);
  ${unit(
    (u) => `if (o${u} < sizes.width) {
      let output = sizes.output + o${u};
      let offset = bias[output];
      ${pixel((p) => put(u, p))}
  }`,
  )}
}`;
}
