/**
 * Linear layer, with what stands around it in a transformer: the norm before, the gate, activation or residual after.
 *
 *     y = f(W n(x) + b) + residual        x [R, C]   W [O, C]   b [O]   y [R, O]
 *
 * `n` is the root-mean-square norm when `normEpsilon` is given; its gain is folded into `W` on load, and its scale is one
 * number a row, so it costs no pass of its own. `f` is an activation, or for a paired weight `silu(gate) * up`, or
 * `activation(gate) * up` where one is given.
 * Sums in f32. A thread owns the same lane of `BLOCKS` blocks and `TILE` rows: it reads its weights once for all rows,
 * neighboring threads read neighboring addresses, and there is no barrier unless `SPLIT` threads share one sum.
 */

import { ShapeError } from '../../tensor/errors.ts';
import { type Constants, defineKernel, unroll } from '../../tensor/kernel.ts';
import { describeShape } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { GROUP, QMAX } from './quantize.ts';
import { isQuantized, LANES, type LinearWeight } from './weight.ts';

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
  const [rows, width] = x.matrix(`${weight.label}: x`);
  if (width !== weight.inputs) {
    throw new ShapeError(`${weight.label}: expected x [rows, ${weight.inputs}], got ${describeShape(x.shape)}`);
  }
  const y = x.runtime.result([rows, weight.outputs], 'f32', weight.label);
  options.residual?.expect(`${weight.label}: residual`, y.shape);
  for (const part of weight.parts) {
    const tile = pickTile(rows, part.blocks, weight.paired, x.runtime.isSoftware);
    const constants = {
      ROWS: rows,
      INPUTS: width,
      OUTPUTS: weight.outputs,
      FIRST_BLOCK: part.firstBlock,
      PART_BLOCKS: part.blocks,
      PAIRED: weight.paired,
      NORM: options.normEpsilon !== undefined,
      EPSILON: options.normEpsilon ?? 0,
      BIAS: weight.bias !== undefined,
      RESIDUAL: options.residual !== undefined,
      GELU_TANH: options.activation === 'geluTanh',
      GELU_ERF: options.activation === 'geluErf',
      ...(isQuantized(weight.dtype) && { QMAX: QMAX[weight.dtype] }),
      ...tile,
    };
    const tensors = {
      x,
      ...(part.scales ? { q: part.tensor, scales: part.scales } : { w: part.tensor }),
      y,
      ...(weight.bias && { bias: weight.bias }),
      ...(options.residual && { residual: options.residual }),
    };
    x.runtime.dispatch(kernel, tensors, constants, [Math.ceil(part.blocks / tile.BLOCKS), Math.ceil(rows / tile.TILE)]);
  }
  return y;
}

export type LinearTile = { readonly TILE: number; readonly BLOCKS: number; readonly SPLIT: number };

/**
 * Rows and blocks a thread owns, and threads that share a sum. Software drivers pay for loads and barriers: big register
 * tiles, no sharing. A GPU needs many threads in flight: small tiles, eight threads a sum.
 */
export function pickTile(rows: number, blocks: number, paired: boolean, isSoftware: boolean): LinearTile {
  const smallest = paired ? 2 : 1;
  const TILE = Math.min(rows, 8);
  if (!isSoftware) return { TILE, BLOCKS: smallest, SPLIT: rows > 64 ? 2 : 8 };
  return { TILE, BLOCKS: Math.max(smallest, Math.min(4, blocks)), SPLIT: 1 };
}

const kernel = defineKernel(
  'linear',
  {
    x: 'read vec4f',
    w: 'read vec8',
    q: 'read u32',
    scales: 'read vec4',
    bias: 'read f32',
    residual: 'read f32',
    y: 'write f32',
  },
  body,
);

/** erf by Abramowitz and Stegun 7.1.26: absolute error below 1.5e-7. */
const ERF = `
fn erf(x: f32) -> f32 {
  let t = 1.0 / (1.0 + 0.3275911 * abs(x));
  let p = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
  return sign(x) * (1.0 - p * exp(-x * x));
}`;

/** Four signed bytes at once as fractions of 127; of int4 a half of each byte, moved up into the place of a byte. */
const INT8 = `
const UNIT = 127.0;
struct Vec8 { low: vec4f, high: vec4f }
fn q_at(i: u32) -> Vec8 { return Vec8(unpack4x8snorm(q[2u * i]), unpack4x8snorm(q[2u * i + 1u])); }`;
const INT4 = `
const UNIT = 127.0 / 16.0;
struct Vec8 { low: vec4f, high: vec4f }
fn q_at(i: u32) -> Vec8 {
  return Vec8(unpack4x8snorm((q[i] << 4u) & 0xf0f0f0f0u), unpack4x8snorm(q[i] & 0xf0f0f0f0u));
}`;

function body(constants: Constants): string {
  const {
    TILE,
    BLOCKS,
    SPLIT,
    NORM,
    PAIRED,
    BIAS,
    RESIDUAL,
    GELU_TANH,
    GELU_ERF,
    QMAX: most,
  } = constants as {
    readonly [name: string]: number;
  };
  const tile = (piece: (row: number) => string) => unroll(TILE!, piece);
  const each = (piece: (block: number, row: number) => string) => unroll(BLOCKS!, (b) => tile((r) => piece(b, r)));
  const activate = GELU_TANH
    ? 'return 0.5 * v * (1.0 + tanh(clamp(0.7978845608028654 * (v + 0.044715 * v * v * v), -10.0, 10.0)));'
    : GELU_ERF
      ? 'return 0.5 * v * (1.0 + erf(v * 0.7071067811865476));'
      : 'return v;';
  const gate = GELU_TANH || GELU_ERF ? 'activate' : 'silu';
  const put = (value: string, block: string, row: number) => `{
      let output = ${block} * ${LANES}u + lane;
      let row = row0 + ${row}u;
      if (output < OUTPUTS && row < ROWS) {
        var v = ${value};
        ${BIAS ? 'v += bias[output];' : ''}
        ${PAIRED ? '' : 'v = activate(v);'}
        ${RESIDUAL ? 'v += residual[row * OUTPUTS + output];' : ''}
        y[row * OUTPUTS + output] = v;
      }
    }`;
  const store = PAIRED
    ? unroll(BLOCKS! / 2, (b) =>
        tile((r) => put(`${gate}(s${2 * b}_${r}) * s${2 * b + 1}_${r}`, `((FIRST_BLOCK + block0) / 2u + ${b}u)`, r)),
      )
    : each((b, r) => put(`s${b}_${r}`, `(FIRST_BLOCK + block0 + ${b}u)`, r));
  const sums = BLOCKS! * TILE!;
  const share = `
    ${each((b, r) => `partial[(${b * TILE! + r}u * ${SPLIT}u + split) * ${LANES}u + lane] = s${b}_${r};`)}
    ${NORM ? tile((r) => `partial[(${sums + r}u * ${SPLIT}u + split) * ${LANES}u + lane] = n${r};`) : ''}
    workgroupBarrier();
    if (split > 0u) { return; }
    for (var k = 1u; k < ${SPLIT}u; k++) {
      ${each((b, r) => `s${b}_${r} += partial[(${b * TILE! + r}u * ${SPLIT}u + k) * ${LANES}u + lane];`)}
      ${NORM ? tile((r) => `n${r} += partial[(${sums + r}u * ${SPLIT}u + k) * ${LANES}u + lane];`) : ''}
    }`;
  const chunk = (read: string, scale: (block: number) => string) => `
    ${tile((r) => `let low${r} = x[x${r} + 2u * c];\nvar high${r} = x[x${r} + 2u * c + 1u];`)}
    if (INPUTS % 8 != 0 && c == CHUNKS - 1) { ${tile((r) => `high${r} = vec4f(0.0);`)} }
    ${NORM ? tile((r) => `n${r} += dot(low${r}, low${r}) + dot(high${r}, high${r});`) : ''}
    ${unroll(
      BLOCKS!,
      (b) => `{
      let o = ${read}(w${b} + c * ${LANES}u);
      ${tile((r) => `s${b}_${r} += ${scale(b)}(dot(o.low, low${r}) + dot(o.high, high${r}));`)}
    }`,
    )}`;
  const byGroups = `
  for (var g = split; g < (INPUTS + ${GROUP - 1}) / ${GROUP}; g += ${SPLIT}u) {
    ${unroll(BLOCKS!, (b) => `let f${b} = UNIT * scales_at((b${b} * SCALE_QUADS + g / 4) * ${LANES}u + lane)[g % 4u];`)}
    for (var c = g * ${GROUP / 8}u; c < min(CHUNKS, (g + 1) * ${GROUP / 8}u); c++) { ${chunk('q_at', (b) => `f${b} * `)} }
  }`;
  return `
${GELU_ERF ? ERF : ''}
fn activate(v: f32) -> f32 { ${activate} }
fn silu(v: f32) -> f32 { return v / (1.0 + exp(-v)); }
const CHUNKS = (INPUTS + 7) / 8;
const STORED_CHUNKS = ${most ? `(CHUNKS + ${GROUP / 8 - 1}) / ${GROUP / 8} * ${GROUP / 8}` : 'CHUNKS'};
${most ? `const SCALE_QUADS = (STORED_CHUNKS / ${GROUP / 8} + 3) / 4;${most === 7 ? INT4 : INT8}` : ''}
${SPLIT! > 1 ? `var<workgroup> partial: array<f32, ${(sums + (NORM ? TILE! : 0)) * SPLIT! * LANES}>;` : ''}

@compute @workgroup_size(${LANES}, ${SPLIT})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let lane = local.x;
  let split = local.y;
  let block0 = group.x * BLOCKS;
  let row0 = group.y * TILE;
  ${tile((r) => `let x${r} = min(row0 + ${r}u, ROWS - 1u) * (INPUTS / 4u);`)}
  ${unroll(BLOCKS!, (b) => `let b${b} = min(block0 + ${b}u, PART_BLOCKS - 1u);\nlet w${b} = b${b} * STORED_CHUNKS * ${LANES}u + lane;`)}
  ${each((b, r) => `var s${b}_${r} = 0.0;`)}
  ${NORM ? tile((r) => `var n${r} = 0.0;`) : ''}
  ${most ? byGroups : `for (var c = split; c < CHUNKS; c += ${SPLIT}u) { ${chunk('w_at', () => '')} }`}
  ${SPLIT! > 1 ? share : ''}
  ${NORM ? tile((r) => `let scale${r} = inverseSqrt(n${r} / f32(INPUTS) + EPSILON);`) : ''}
  ${NORM ? each((b, r) => `s${b}_${r} *= scale${r};`) : ''}
  ${store}
}`;
}
