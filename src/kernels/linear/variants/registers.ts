/**
 * Registers alone, for every adapter: a thread owns the same lane of UNITS blocks and TILE rows, and reads its weights once
 * for all rows. Neighboring threads read neighboring addresses. Where SPLIT is SEGMENTS, that many threads share a sum, each
 * with a segment of the inputs, so that few rows still fill a GPU; else there is no barrier.
 */

import { type Constants, defineKernel, unroll } from '../../../tensor/kernel.ts';
import { isOnCpu } from '../../../tensor/traits.ts';
import { CHUNK, LANES } from '../weight.ts';
import { BINDINGS, declarations, readChunk, readScale, SEGMENTS, store, sumInputs, units, walk } from '../wgsl.ts';
import { type LinearVariant, rowTile, type Tile } from './variant.ts';

export const registers: LinearVariant = {
  kernel: /* @__PURE__ */ defineKernel('linear.registers', { x: 'read vec4f', ...BINDINGS }, body),

  tiles({ rows, blocks, paired }, adapter) {
    const { maxWorkgroupBytes, maxWorkgroupThreads } = adapter;
    const most = rowTile(rows);
    const least = paired ? 2 : 1;
    const alone = { TILE: most, UNITS: Math.max(least, Math.min(4, blocks)), SPLIT: 1 };
    if (isOnCpu(adapter) || LANES * SEGMENTS > maxWorkgroupThreads) return [alone];
    // the more rows, the seldomer the weights are read
    const shared = [...new Set([most, Math.min(most, 4)])].map((TILE) => ({ TILE, UNITS: least, SPLIT: SEGMENTS }));
    return [...shared.filter((tile) => sharedBytes(tile, true) <= maxWorkgroupBytes), alone];
  },

  workgroups({ rows, blocks }, { TILE = 1, UNITS = 1 }) {
    return [Math.ceil(blocks / UNITS), Math.ceil(rows / TILE)];
  },
};

function sharedBytes({ TILE = 1, UNITS = 1, SPLIT = 1 }: Tile, normed: boolean): number {
  return 4 * (UNITS * TILE + (normed ? TILE : 0)) * SPLIT * LANES;
}

function body(constants: Constants): string {
  const { TILE, UNITS, SPLIT, NORM, PAIRED, QMAX, INPUTS } = constants as { readonly [name: string]: number };
  const tile = (piece: (row: number) => string) => unroll(TILE!, piece);
  const unit = (piece: (unit: number) => string) => unroll(UNITS!, piece);
  const each = (piece: (unit: number, row: number) => string) => unit((u) => tile((r) => piece(u, r)));
  const isSplit = SPLIT! > 1;
  const tail = INPUTS! % CHUNK ? `if (c == CHUNKS - 1) { ${tile((r) => `high${r} = vec4f();`)} }` : '';
  const chunk = `
      ${tile((r) => `let low${r} = x[x${r} + 2u * c];\nvar high${r} = x[x${r} + 2u * c + 1u];`)}
      ${tail}
      ${NORM ? tile((r) => `nl${r} = fma(low${r}, low${r}, nl${r});\nnh${r} = fma(high${r}, high${r}, nh${r});`) : ''}
      ${unit((u) => readChunk(u, Boolean(QMAX)))}
      ${each((u, r) => sumInputs(CHUNK, u, r, (k) => `${k < 4 ? 'low' : 'high'}${r}.${'xyzw'[k % 4]}`))}`;
  const places = (r: number) =>
    ['nl', 'nh'].flatMap((half) => [...'xyzw'].map((place) => `${half}${r}.${place}`)).join(' + ');
  const segment = `
    ${each((u, r) => `var s${u}_${r} = 0.0;`)}
    ${NORM ? tile((r) => `var nl${r} = vec4f();\nvar nh${r} = vec4f();`) : ''}
    ${walk(QMAX ? unit(readScale) : '', chunk)}
    ${NORM ? tile((r) => `let n${r} = ${places(r)};`) : ''}`;
  const sums = UNITS! * TILE!;
  const shared = (sum: number, seg: string) => `partial[(${sum}u * ${SPLIT}u + ${seg}) * ${LANES}u + local.x]`;
  const share = `
  let seg = local.y;
  ${segment}
  ${each((u, r) => `${shared(u * TILE! + r, 'seg')} = s${u}_${r};`)}
  ${NORM ? tile((r) => `${shared(sums + r, 'seg')} = n${r};`) : ''}
  workgroupBarrier();
  if (seg > 0u) { return; }
  for (var k = 0u; k < ${SPLIT}u; k++) {
    ${each((u, r) => `t${u}_${r} += ${shared(u * TILE! + r, 'k')};`)}
    ${NORM ? tile((r) => `m${r} += ${shared(sums + r, 'k')};`) : ''}
  }`;
  const alone = `
  for (var seg = 0u; seg < ${SEGMENTS}u; seg++) {
    ${segment}
    ${each((u, r) => `t${u}_${r} += s${u}_${r};`)}
    ${NORM ? tile((r) => `m${r} += n${r};`) : ''}
  }`;
  const step = PAIRED ? UNITS! / 2 : UNITS!;
  return `${declarations(constants)}
${isSplit ? `var<workgroup> partial: array<f32, ${sharedBytes(constants as Tile, Boolean(NORM)) / 4}>;` : ''}

@compute @workgroup_size(${LANES}, ${SPLIT})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let row0 = group.y * TILE;
  ${units(UNITS!, Boolean(PAIRED), (index) => `(group.x * ${step}u + ${index}u) * ${LANES}u + local.x`)}
  ${tile((r) => `let x${r} = min(row0 + ${r}u, sizes.rows - 1u) * (INPUTS / 4u);`)}
  ${each((u, r) => `var t${u}_${r} = 0.0;`)}
  ${NORM ? tile((r) => `var m${r} = 0.0;`) : ''}
  ${isSplit ? share : alone}
  ${store(constants, UNITS!, TILE!)}
}`;
}
