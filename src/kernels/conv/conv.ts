/**
 * 3 x 3 convolution with a border of zeros, with what stands around it in a decoder: the doubling of the image before,
 * the residual after.
 *
 *     y[v, u, o] = b[o] + Σ_{i, j, c} W[o, i, j, c] · z[v + i − 1, u + j − 1, c] + residual[v, u, o]
 *
 * z is x, or with `upsample` x[floor(v / 2), floor(u / 2)]. Images are [Y, X, C], so that a 1 x 1 convolution is `linear`
 * on [Y · X, C]. Sums in f32. A thread owns `TILE` neighboring pixels of a row and a vector of outputs: a column of x is
 * read once for the three taps and four outputs that see it, a weight once for all pixels.
 */

import { ShapeError } from '../../tensor/errors.ts';
import { type Constants, defineKernel, unroll } from '../../tensor/kernel.ts';
import type { DriverKind } from '../../tensor/runtime.ts';
import { describeShape, roundUp } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { LANES } from '../linear/weight.ts';
import type { ConvWeight } from './weight.ts';

export interface ConvOptions {
  /** Doubles height and width first, each pixel becoming four. @defaultValue false */
  readonly upsample?: boolean;
  /** Of the shape of y, added last. */
  readonly residual?: Tensor;
}

/** x [Y, X, I] f32 → [Y, X, O] f32, both sides doubled with `upsample`. Throws ShapeError when the channels differ. */
export function conv(x: Tensor, weight: ConvWeight, options: ConvOptions = {}): Tensor {
  const { matrix, inputs, outputs } = weight;
  const [rows, columns, channels] = x.shape;
  if (rows === undefined || columns === undefined || channels !== inputs || x.shape.length !== 3) {
    throw new ShapeError(`${matrix.label}: expected x [Y, X, ${inputs}], got ${describeShape(x.shape)}`);
  }
  const scale = options.upsample ? 2 : 1;
  const y = x.runtime.result([scale * rows, scale * columns, outputs], 'f32', matrix.label);
  const { residual } = options;
  residual?.expect(`${matrix.label}: residual`, y.shape);
  const tile = pickConvTile(outputs, x.runtime.kind);
  const tiles = scale * rows * Math.ceil((scale * columns) / tile.TILE);
  const constants = { SCALE: scale, LAST: (scale * columns) % tile.TILE || tile.TILE, ...tile };
  for (const part of matrix.parts) {
    const first = part.firstBlock * LANES;
    const count = Math.min(part.blocks * LANES, outputs - first);
    const sizes = x.runtime.sizes([rows, columns, inputs / 4, outputs, first, count, residual ? 1 : 0]);
    const tensors = { x, w: part.tensor, sizes, bias: weight.bias, residual: residual ?? x, y };
    const groups = [Math.ceil(count / 4 / tile.SPREAD), Math.ceil(tiles / tile.GROUP)];
    x.runtime.dispatch(outputs % 4 === 0 ? kernel : oddKernel, tensors, constants, groups);
  }
  return y;
}

export interface ConvTile {
  /** Pixels of a row that a thread owns; even. */
  readonly TILE: number;
  /** Quads of outputs, and tiles of pixels, in a workgroup. */
  readonly SPREAD: number;
  readonly GROUP: number;
}

/**
 * SwiftShader pays most for loads, so it gets the biggest register tile; lavapipe takes seconds to compile one; a GPU
 * needs many threads in flight. Three colors are so little work that only the time to compile counts.
 */
export function pickConvTile(outputs: number, kind: DriverKind): ConvTile {
  const SPREAD = Math.min(LANES, roundUp(outputs, 4)) / 4;
  const TILE = outputs % 4 !== 0 ? 2 : kind === 'swiftshader' ? 16 : 8;
  return { TILE, SPREAD, GROUP: Math.floor(64 / SPREAD) };
}

const bindings = { x: 'read vec4f', w: 'read vec4', sizes: 'uniform Sizes' } as const;
const kernel = defineKernel(
  'conv',
  { ...bindings, bias: 'read vec4f', residual: 'read vec4f', y: 'write vec4f' },
  (constants) => body(constants, true),
);
/** For outputs that are no whole vec4s, such as three colors. */
const oddKernel = defineKernel(
  'convOdd',
  { ...bindings, bias: 'read f32', residual: 'read f32', y: 'write f32' },
  (constants) => body(constants, false),
);

function body(constants: Constants, wholeQuads: boolean): string {
  const { TILE, SPREAD, GROUP, LAST, SCALE } = constants as {
    readonly [name: string]: number;
  };
  const tile = (piece: (pixel: number) => string) => unroll(TILE!, piece);
  const reads = TILE! / SCALE! + 2;
  // The border is column −1, and the one after the image: in the last tile, `LAST` pixels wide, always at the same place.
  const inside = (read: number) =>
    read === 0 ? 'left >= 0' : read === LAST! / SCALE! + 1 ? `left + ${read} < columns` : '';
  const load = (read: number) =>
    inside(read) ? `select(vec4f(), x[at${read} + c], inside${read})` : `x[at${read} + c]`;
  const put = (pixel: number) =>
    wholeQuads
      ? `let vector${pixel} = place / 4u + ${pixel}u * (outputs / 4u);
      y[vector${pixel}] = s${pixel} + offset + select(vec4f(), residual[vector${pixel}], hasResidual);`
      : `for (var k = 0u; k < min(4u, sizes.count - output); k++) {
      let one = place + ${pixel}u * outputs + k;
      y[one] = s${pixel}[k] + bias[sizes.first + output + k] + select(0.0, residual[one], hasResidual);
    }`;
  return `
/** Of x; \`first\` and \`count\` are the outputs of this part of the weight. */
struct Sizes { rows: i32, columns: i32, vec4s: u32, outputs: u32, first: u32, count: u32, hasResidual: u32 }

@compute @workgroup_size(${SPREAD}, ${GROUP})
fn main(@builtin(global_invocation_id) at: vec3u) {
  let output = at.x * 4u;
  let columns = sizes.columns;
  let vec4s = sizes.vec4s;
  let outputs = sizes.outputs;
  let high = SCALE * sizes.rows;
  let wide = SCALE * columns;
  let tiles = (u32(wide) + TILE - 1u) / TILE;
  if (at.y >= tiles * u32(high) || output >= sizes.count) { return; }
  let v = i32(at.y / tiles);
  let u0 = i32(at.y % tiles) * TILE;
  let tap = vec4s * ${LANES}u; // vec4s of a tap in a block: see linear-weight.ts
  let left = u0 / SCALE - 1;
  let w0 = output / ${LANES}u * 9u * tap + output % ${LANES}u * 2u;
  ${unroll(reads, (r) => (inside(r) ? `let inside${r} = ${inside(r)};` : ''))}
  ${tile((p) => `var s${p} = vec4f();`)}
  for (var i = 0; i < 3; i++) {
    if (v + i < 1 || v + i > high) { continue; }
    let row = (v + i - 1) / SCALE * columns;
    ${unroll(reads, (r) => `let at${r} = u32(row + clamp(left + ${r}, 0, columns - 1)) * vec4s;`)}
    for (var c = 0u; c < vec4s; c++) {
      ${unroll(reads, (r) => `let x${r} = ${load(r)};`)}
      let w = w0 + u32(i) * 3u * tap + c / 2u * ${2 * LANES}u + c % 2u;
      ${unroll(
        3,
        (j) => `{
        let m = mat4x4f(${[0, 2, 4, 6].map((o) => `w_at(w + ${j}u * tap + ${o}u)`)});
        ${tile((p) => `s${p} += x${Math.floor((p + j - 1) / SCALE!) + 1} * m;`)}
      }`,
      )}
    }
  }
  let place = u32(v * wide + u0) * outputs + sizes.first + output;
  let hasResidual = sizes.hasResidual == 1u;
  ${wholeQuads ? 'let offset = bias[(sizes.first + output) / 4u];' : ''}
  ${tile((p) => (LAST === TILE ? put(p) : `if (u0 + ${p} < wide) { ${put(p)} }`))}
}`;
}
