/**
 * Activations read once by a subgroup and broadcast in it: lane s reads input s of a chunk, and every lane multiplies it
 * into its own outputs. What a driver on the CPU pays for are loads, of which this makes the fewest, and there is no
 * barrier. A thread owns TILE rows and UNITS outputs, WIDTH apart.
 */

import { type Constants, subgroupKernel, unroll } from '../../../tensor/kernel.ts';
import { CHUNK, LANES, SUBGROUPS } from '../weight.ts';
import { BINDINGS, declarations, readScale, readWeight, SEGMENTS, store, sumChunk, units, walk } from '../wgsl.ts';
import { type LinearVariant, rowTile } from './variant.ts';

export const broadcast: LinearVariant = {
  kernel: /* @__PURE__ */ subgroupKernel('linear.broadcast', { x: 'read f32', ...BINDINGS }, body),

  tiles({ rows, blocks }, { kind, subgroupSize }) {
    if (subgroupSize === undefined || !SUBGROUPS.includes(subgroupSize)) return [];
    const WIDTH = Math.max(CHUNK, subgroupSize);
    const tile = (TILE: number, UNITS: number) => ({ TILE, UNITS, WIDTH, SUBGROUP: subgroupSize });
    const TILE = rowTile(rows);
    const isSwift = kind === 'swiftshader';
    const [UNITS, others] = (isSwift ? (blocks < 16 ? [4, 8] : [8, 4]) : [4, 2]) as [number, number];
    const tiles = [tile(TILE, UNITS), tile(TILE, others)];
    if (rows <= TILE || blocks < 8) return tiles;
    // a third faster than two tiles; the largest takes lavapipe long to compile
    const LARGER = [10, 12].find((size) => rows <= size) ?? 16;
    return isSwift || LARGER < 16 ? [tile(LARGER, UNITS), ...tiles] : [...tiles, tile(LARGER, UNITS)];
  },

  workgroups({ rows, blocks }, { TILE = 1, UNITS = 1, WIDTH = 1 }) {
    return [Math.ceil((blocks * LANES) / (UNITS * WIDTH)), Math.ceil(rows / TILE)];
  },
};

function body(constants: Constants): string {
  const { TILE, UNITS, WIDTH, SUBGROUP, NORM, PAIRED, QMAX, INPUTS } = constants as { readonly [name: string]: number };
  const tile = (piece: (row: number) => string) => unroll(TILE!, piece);
  const unit = (piece: (unit: number) => string) => unroll(UNITS!, piece);
  const each = (piece: (unit: number, row: number) => string) => unit((u) => tile((r) => piece(u, r)));
  const perLane = Math.max(1, CHUNK / SUBGROUP!);
  const lanes = Math.min(CHUNK, SUBGROUP!);
  const reads = (piece: (row: number, read: number) => string) => tile((r) => unroll(perLane, (i) => piece(r, i)));
  const read = (r: number, i: number) => {
    const at = `c * ${CHUNK}u + ${i * lanes}u`;
    const value = INPUTS! % CHUNK ? `select(0.0, x[x${r} + ${at}], ${at} + place < INPUTS)` : `x[x${r} + ${at}]`;
    return `let a${r}_${i} = ${value};`;
  };
  const from = (name: string, r: number, k: number) =>
    `subgroupBroadcast(${name}${r}_${Math.floor(k / lanes)}, ${k % lanes}u)`;
  const chunk = `
      ${reads(read)}
      ${NORM ? reads((r, i) => `n${r}_${i} = fma(a${r}_${i}, a${r}_${i}, n${r}_${i});`) : ''}
      ${unit((u) => readWeight(u, Boolean(QMAX)))}
      ${tile(
        (r) => `{
        ${unroll(CHUNK, (k) => `let a${k} = ${from('a', r, k)};`)}
        ${unit((u) => sumChunk(u, r, (k) => `a${k}`))}
      }`,
      )}`;
  const places = (r: number) => Array.from({ length: CHUNK }, (_, k) => from('n', r, k)).join(' + ');
  const step = PAIRED ? UNITS! / 2 : UNITS!;
  return `${declarations(constants)}
@compute @workgroup_size(${WIDTH})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) local: u32,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let row0 = group.y * TILE;
  let place = lane % ${lanes}u;
  ${units(UNITS!, Boolean(PAIRED), (index) => `group.x * ${step * WIDTH!}u + ${index * WIDTH!}u + local`)}
  ${tile((r) => `let x${r} = min(row0 + ${r}u, sizes.rows - 1u) * INPUTS + place;`)}
  ${each((u, r) => `var t${u}_${r} = 0.0;`)}
  ${NORM ? tile((r) => `var m${r} = 0.0;`) : ''}
  for (var seg = 0u; seg < ${SEGMENTS}u; seg++) {
    ${each((u, r) => `var s${u}_${r} = 0.0;`)}
    ${NORM ? reads((r, i) => `var n${r}_${i} = 0.0;`) : ''}
    ${walk(QMAX ? unit(readScale) : '', chunk)}
    ${each((u, r) => `t${u}_${r} += s${u}_${r};`)}
    ${NORM ? tile((r) => `m${r} += ${places(r)};`) : ''}
  }
  ${store(constants, UNITS!, TILE!)}
}`;
}
