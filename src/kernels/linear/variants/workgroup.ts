/**
 * Tiles in workgroup memory, for GPUs and many rows: 64 rows by 64 units of outputs, GROUP inputs at a time, which the
 * threads of a workgroup read together, each weight and each activation once for all of them. A thread owns TILE neighboring
 * rows and UNITS outputs, SIDE apart. No GPU has been measured; `tune` tries it against the others.
 */

import { type Constants, defineKernel, unroll } from '../../../tensor/kernel.ts';
import { isOnCpu } from '../../../tensor/traits.ts';
import { GROUP } from '../quantize.ts';
import { CHUNK, LANES } from '../weight.ts';
import { BINDINGS, declarations, readChunk, readScale, SEGMENTS, store, sumInputs, units } from '../wgsl.ts';
import type { LinearVariant } from './variant.ts';

/** Threads in either direction, and rows and units of their tile. */
const SIDE = 16;
const EXTENT = 64;
const TILE = EXTENT / SIDE;
/** Chunks read at a time: EXTENT of as many are one a thread. */
const READ = GROUP / CHUNK;
/** Of the activations of a tile, and of its weights: in `vec4f`. */
const FOURS = 2 * READ * EXTENT;

export const workgroup: LinearVariant = {
  kernel: /* @__PURE__ */ defineKernel('linear.workgroup', { x: 'read vec4f', ...BINDINGS }, body),

  tiles({ rows, blocks }, adapter) {
    const fits = adapter.maxWorkgroupBytes >= 2 * 16 * FOURS && adapter.maxWorkgroupThreads >= SIDE * SIDE;
    // fewer would leave a tile half empty
    return fits && !isOnCpu(adapter) && rows > EXTENT / 2 && blocks > 1 ? [{ TILE, UNITS: TILE }] : [];
  },

  workgroups({ rows, blocks }) {
    return [Math.ceil((blocks * LANES) / EXTENT), Math.ceil(rows / EXTENT)];
  },
};

function body(constants: Constants): string {
  const { NORM, PAIRED, QMAX, INPUTS } = constants as { readonly [name: string]: number };
  const tile = (piece: (i: number) => string) => unroll(TILE, piece);
  const each = (piece: (unit: number, row: number) => string) => tile((u) => tile((r) => piece(u, r)));
  const width = EXTENT / (PAIRED ? 2 : 1);
  const places = (r: number) =>
    [0, 1].flatMap((half) => [...'xyzw'].map((k) => `left[${half * EXTENT}u + row + ${r}u].${k}`)).join(' + ');
  // columns of gates, then of what they gate
  const column = (u: number) => (PAIRED ? (u % 2) * width + (u >> 1) * SIDE : u * SIDE);
  return `${declarations(constants)}
var<workgroup> left: array<vec4f, ${FOURS}>;
var<workgroup> right: array<vec4f, ${FOURS}>;

@compute @workgroup_size(${SIDE}, ${SIDE})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_id) local: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = local.y * ${TILE}u;
  let row0 = group.y * ${EXTENT}u + row;
  ${units(TILE, Boolean(PAIRED), (index) => `group.x * ${width}u + ${index * SIDE}u + local.x`)}
  let row1 = thread / ${READ}u;
  let chunk1 = thread % ${READ}u;
  let x0 = min(group.y * ${EXTENT}u + row1, sizes.rows - 1u) * (INPUTS / 4u);
  let mine = thread % ${EXTENT}u;
  let part = thread / ${EXTENT}u;
  let output = group.x * ${width}u + mine % ${width}u;
  let bm = min(${PAIRED ? `2u * (output / ${LANES}u) + mine / ${width}u` : `output / ${LANES}u`}, u32(PART_BLOCKS) - 1u);
  let lm = output % ${LANES}u;
  let wm = bm * STORED_CHUNKS * ${LANES}u + lm;
  ${each((u, r) => `var t${u}_${r} = 0.0;`)}
  ${NORM ? tile((r) => `var m${r} = 0.0;`) : ''}
  for (var seg = 0u; seg < ${SEGMENTS}u; seg++) {
    ${each((u, r) => `var s${u}_${r} = 0.0;`)}
    ${NORM ? 'var squares = vec4f();' : ''}
    for (var g = seg * SEGMENT; g < min(u32(GROUPS), (seg + 1u) * SEGMENT); g++) {
      let chunks = min(u32(CHUNKS) - g * ${READ}u, ${READ}u);
      if (chunk1 < chunks) {
        let i = 2u * (g * ${READ}u + chunk1);
        left[2u * chunk1 * ${EXTENT}u + row1] = x[x0 + i];
        left[(2u * chunk1 + 1u) * ${EXTENT}u + row1] = ${INPUTS! % CHUNK ? 'select(vec4f(), x[x0 + i + 1u], i + 1u < INPUTS / 4u)' : 'x[x0 + i + 1u]'};
      }
      if (part < chunks) {
        let c = g * ${READ}u + part;
        ${QMAX ? readScale('m') : ''}
        ${readChunk('m', Boolean(QMAX))}
        right[2u * part * ${EXTENT}u + mine] = vm_0;
        right[(2u * part + 1u) * ${EXTENT}u + mine] = vm_1;
      }
      workgroupBarrier();
      for (var i = 0u; i < 2u * chunks; i++) {
        ${tile((r) => `let x${r} = left[i * ${EXTENT}u + row + ${r}u];`)}
        ${tile((u) => `let v${u}_0 = right[i * ${EXTENT}u + ${column(u)}u + local.x];`)}
        ${each((u, r) => sumInputs(4, u, r, (k) => `x${r}.${'xyzw'[k]}`))}
      }
      ${
        NORM
          ? `if (thread < ${2 * EXTENT}u) {
        for (var i = part; i < 2u * chunks; i += 2u) { let four = left[i * ${EXTENT}u + mine]; squares = fma(four, four, squares); }
      }`
          : ''
      }
      workgroupBarrier();
    }
    ${each((u, r) => `t${u}_${r} += s${u}_${r};`)}
    ${
      NORM
        ? `if (thread < ${2 * EXTENT}u) { left[thread] = squares; }
    workgroupBarrier();
    ${tile((r) => `m${r} += ${places(r)};`)}
    workgroupBarrier();`
        : ''
    }
  }
  ${store(constants, TILE, TILE)}
}`;
}
