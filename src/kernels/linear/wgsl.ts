/**
 * What the variants of a linear layer share: how a weight is read, in which order products are summed, how a sum is stored.
 *
 * The order is the same in every variant, so that all give the same bits and the choice between them changes no image: the
 * inputs are cut into at most SEGMENTS segments of whole groups; a segment is summed input by input, by `fma`; the segments
 * are added from first to last. The squares for the norm are summed apart for each place in a chunk of CHUNK inputs, the
 * places of a segment are added in their order, then the segments. A whole number times its f16 scale is exact in f32, so
 * quantized weights are multiplied as the floats they stand for.
 */

import { type Constants, unroll } from '../../tensor/kernel.ts';
import { GROUP } from './quantize.ts';
import { CHUNK, LANES } from './weight.ts';

/** (ours) Enough for the threads of a GPU that share a sum, few enough to cost nothing where one thread has it all. */
export const SEGMENTS = 8;

export const BINDINGS = {
  w: 'read vec8',
  q: 'read vec4',
  scales: 'read vec4',
  bias: 'read f32',
  residual: 'read f32',
  sizes: 'uniform Sizes',
  y: 'write f32',
} as const;

/** erf by Abramowitz and Stegun 7.1.26: absolute error below 1.5e-7. */
const ERF = `
fn erf(x: f32) -> f32 {
  let t = 1.0 / (1.0 + 0.3275911 * abs(x));
  let p = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
  return sign(x) * (1.0 - p * exp(-x * x));
}`;

/** Half a chunk of whole numbers times their scale f. */
const INT8 = `
fn half_at(i: u32, half: u32, f: f32) -> vec4f { return f * q_at(2u * i + half); }`;
const INT4 = `
fn half_at(i: u32, half: u32, f: f32) -> vec4f {
  return f * vec4f(vec4i(vec4u(q[i] >> (4u * half)) << vec4u(28u, 20u, 12u, 4u)) >> vec4u(28u));
}`;

/** Declarations of all variants: sizes, the activation, and the reading of quantized weights. */
export function declarations({ QMAX, GELU_TANH, GELU_ERF }: Constants): string {
  const activate = GELU_TANH
    ? 'return 0.5 * v * (1.0 + tanh(clamp(0.7978845608028654 * (v + 0.044715 * v * v * v), -10.0, 10.0)));'
    : GELU_ERF
      ? 'return 0.5 * v * (1.0 + erf(v * 0.7071067811865476));'
      : 'return v;';
  return `
struct Sizes { rows: u32 }
${GELU_ERF ? ERF : ''}
fn activate(v: f32) -> f32 { ${activate} }
fn silu(v: f32) -> f32 { return v / (1.0 + exp(-v)); }
const CHUNKS = (INPUTS + ${CHUNK - 1}) / ${CHUNK};
const GROUPS = (CHUNKS + ${GROUP / CHUNK - 1}) / ${GROUP / CHUNK};
const SEGMENT = (GROUPS + ${SEGMENTS - 1}) / ${SEGMENTS}; // groups in a segment
const STORED_CHUNKS = ${QMAX ? `GROUPS * ${GROUP / CHUNK}` : 'CHUNKS'};
const SCALE_QUADS = (GROUPS + 3) / 4;
${QMAX ? (Number(QMAX) === 7 ? INT4 : INT8) : ''}`;
}

/** Adds neighboring inputs to sum `s{u}_{r}`, as one expression: a driver that keeps variables in memory then stores once. */
export function sumInputs(count: number, unit: number, row: number, input: (k: number) => string): string {
  let sum = `s${unit}_${row}`;
  for (let k = 0; k < count; k++) sum = `fma(${input(k)}, v${unit}_${k >> 2}.${'xyzw'[k % 4]}, ${sum})`;
  return `s${unit}_${row} = ${sum};`;
}

/**
 * The outputs of a thread, in units: unit u stands for output o{u} of the part, and with pairs two units, of gate and up,
 * share an output. Declares for each where its weights begin.
 */
export function units(count: number, paired: boolean, output: (index: number) => string): string {
  return unroll(count, (u) => {
    const index = paired ? u >> 1 : u;
    const block = paired ? `2u * (o${index} / ${LANES}u) + ${u % 2}u` : `o${u} / ${LANES}u`;
    return `${paired && u % 2 ? '' : `let o${index} = ${output(index)};`}
  let b${u} = min(${block}, u32(PART_BLOCKS) - 1u);
  let l${u} = o${index} % ${LANES}u;
  let w${u} = b${u} * STORED_CHUNKS * ${LANES}u + l${u};`;
  });
}

/** Declares `v{u}_0` and `v{u}_1`: the halves of chunk c of unit u's weights. */
export function readChunk(unit: number | string, quantized: boolean): string {
  if (quantized) return unroll(2, (i) => readHalf(unit, i, `${i}u`, true));
  return `let both${unit} = w_at(w${unit} + c * ${LANES}u);
      let v${unit}_0 = both${unit}.low;
      let v${unit}_1 = both${unit}.high;`;
}

/** Declares `v{u}_{i}`: a half of chunk c, of floats where the binding `w` is `vec4`. */
export function readHalf(unit: number | string, i: number, half: string, quantized: boolean): string {
  const at = `w${unit} + c * ${LANES}u`;
  return `let v${unit}_${i} = ${quantized ? `half_at(${at}, ${half}, f${unit})` : `w_at(2u * (${at}) + ${half})`};`;
}

/** Declares `f{u}`: the scale of group g. */
export function readScale(unit: number | string): string {
  return `let f${unit} = scales_at((b${unit} * SCALE_QUADS + g / 4u) * ${LANES}u + l${unit})[g % 4u];`;
}

/**
 * Walks the chunks c of segment `seg`, each in as many `turns`, group by group where these have scales. In few loops:
 * SwiftShader pays for the sums of a thread at each border of one.
 */
export function walk(scales: string, step: string, turns = 1): string {
  const steps = (from: string, to: string) =>
    turns === 1
      ? `for (var c = ${from}; c < min(u32(CHUNKS), ${to}); c++) { ${step} }`
      : `for (var i = ${turns}u * ${from}; i < ${turns}u * min(u32(CHUNKS), ${to}); i++) {
      let c = i / ${turns}u;
      let half = i % ${turns}u;
      ${step}
    }`;
  const chunks = GROUP / CHUNK;
  if (scales === '') return steps(`${chunks}u * seg * SEGMENT`, `${chunks}u * (seg + 1u) * SEGMENT`);
  return `
  for (var g = seg * SEGMENT; g < min(u32(GROUPS), (seg + 1u) * SEGMENT); g++) {
    ${scales}
    ${steps(`g * ${chunks}u`, `(g + 1u) * ${chunks}u`)}
  }`;
}

/** Stores sums \`t{u}_{r}\` of a thread: scaled by the norm, gated or activated, with bias and residual. */
export function store(constants: Constants, units: number, rows: number): string {
  const { PAIRED, NORM, BIAS, RESIDUAL, GELU_TANH, GELU_ERF } = constants;
  const gate = GELU_TANH || GELU_ERF ? 'activate' : 'silu';
  const scaled = (u: number, r: number) => (NORM ? `t${u}_${r} * scale${r}` : `t${u}_${r}`);
  const value = (i: number, r: number) =>
    PAIRED ? `${gate}(${scaled(2 * i, r)}) * (${scaled(2 * i + 1, r)})` : scaled(i, r);
  const lastBlock = PAIRED ? 'PART_BLOCKS / 2' : 'PART_BLOCKS';
  const firstBlock = PAIRED ? 'FIRST_BLOCK / 2' : 'FIRST_BLOCK';
  const put = (i: number, r: number) => `
    if (row0 + ${r}u < sizes.rows) {
      var v = ${value(i, r)};
      ${BIAS ? 'v += bias[output];' : ''}
      ${PAIRED ? '' : 'v = activate(v);'}
      let place = (row0 + ${r}u) * OUTPUTS + output;
      ${RESIDUAL ? 'v += residual[place];' : ''}
      y[place] = v;
    }`;
  return `
  ${NORM ? unroll(rows, (r) => `let scale${r} = inverseSqrt(m${r} / f32(INPUTS) + EPSILON);`) : ''}
  ${unroll(
    PAIRED ? units / 2 : units,
    (i) => `{
    let output = ${firstBlock} * ${LANES}u + o${i};
    if (o${i} < ${lastBlock} * ${LANES}u && output < OUTPUTS) { ${unroll(rows, (r) => put(i, r))} }
  }`,
  )}`;
}
