/**
 * Activations read once by a subgroup and broadcast in it: lane s reads input s of a step, and every lane multiplies it
 * into its own outputs. A step is a chunk, or half of one where a subgroup has 4 lanes. What a driver on the CPU pays for
 * are loads, of which this makes the fewest, and there is no barrier. A thread owns TILE rows and UNITS outputs, WIDTH apart.
 */

import { type Constants, subgroupKernel, unroll } from '../../../tensor/kernel.ts';
import { CHUNK, LANES, SUBGROUPS } from '../weight.ts';
import { BINDINGS, declarations, readHalf, readScale, SEGMENTS, store, sumInputs, units, walk } from '../wgsl.ts';
import { type LinearVariant, rowTile } from './variant.ts';

export const broadcast: LinearVariant = {
  kernel: /* @__PURE__ */ subgroupKernel('linear.broadcast', { x: 'read f32', ...BINDINGS, w: 'read vec4' }, body),

  tiles({ rows, blocks }, { kind, subgroupSize }) {
    if (subgroupSize === undefined || !SUBGROUPS.includes(subgroupSize)) return [];
    const WIDTH = Math.max(CHUNK, subgroupSize);
    const tile = (TILE: number, UNITS: number) => ({ TILE, UNITS, WIDTH, SUBGROUP: subgroupSize });
    const TILE = rowTile(rows);
    const tiles = [tile(TILE, 4), tile(TILE, 2)];
    if (rows <= TILE || blocks < 8) return tiles;
    // a third faster than two tiles; lavapipe compiles the largest for seconds
    const LARGER = [10, 12].find((size) => rows <= size);
    if (LARGER) return [tile(LARGER, 4), ...tiles];
    return kind === 'swiftshader' ? [tile(16, 8), ...tiles] : [...tiles, tile(16, 4)];
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
  const lanes = Math.min(CHUNK, SUBGROUP!);
  const turns = CHUNK / lanes;
  const at = turns > 1 ? `i * ${lanes}u` : `c * ${CHUNK}u`;
  const read = (r: number) => {
    const value = INPUTS! % CHUNK ? `select(0.0, x[x${r} + ${at}], ${at} + place < INPUTS)` : `x[x${r} + ${at}]`;
    return `let i${r} = ${value};`;
  };
  // n{r}_0 is of the half at hand, and after an even number of turns of the first
  const square = (r: number) =>
    turns > 1
      ? `let n${r} = fma(i${r}, i${r}, n${r}_0);\nn${r}_0 = n${r}_1;\nn${r}_1 = n${r};`
      : `n${r}_0 = fma(i${r}, i${r}, n${r}_0);`;
  const inputs = `
      ${tile(read)}
      ${NORM ? tile(square) : ''}
      ${unit((u) => unroll(lanes / 4, (i) => readHalf(u, i, turns > 1 ? 'half' : `${i}u`, Boolean(QMAX))))}
      ${tile(
        (r) => `{
        ${unroll(lanes, (k) => `let a${k} = subgroupBroadcast(i${r}, ${k}u);`)}
        ${unit((u) => sumInputs(lanes, u, r, (k) => `a${k}`))}
      }`,
      )}`;
  const places = (r: number) =>
    Array.from({ length: CHUNK }, (_, k) => `subgroupBroadcast(n${r}_${Math.floor(k / lanes)}, ${k % lanes}u)`).join(
      ' + ',
    );
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
    ${NORM ? tile((r) => unroll(turns, (i) => `var n${r}_${i} = 0.0;`)) : ''}
    ${walk(QMAX ? unit(readScale) : '', inputs, turns)}
    ${each((u, r) => `t${u}_${r} += s${u}_${r};`)}
    ${NORM ? tile((r) => `m${r} += ${places(r)};`) : ''}
  }
  ${store(constants, UNITS!, TILE!)}
}`;
}
