/**
 * Pixels read once by a subgroup and broadcast in it: lane s reads channel s of a chunk, and every lane multiplies it into
 * its own outputs. What a driver on the CPU pays for are loads, of which this makes the fewest.
 */

import { type Constants, subgroupKernel, unroll } from '../../../tensor/kernel.ts';
import { CHUNK, SUBGROUPS } from '../../linear/weight.ts';
import { BINDINGS, convBody } from '../wgsl.ts';
import { type ConvVariant, fewerUnits } from './variant.ts';

export const broadcast: ConvVariant = {
  kernel: /* @__PURE__ */ subgroupKernel('conv.broadcast', { x: 'read f32', ...BINDINGS }, body),

  tiles({ width }, { subgroupSize }) {
    if (subgroupSize === undefined || !SUBGROUPS.includes(subgroupSize)) return [];
    const WIDTH = Math.max(CHUNK, subgroupSize);
    return fewerUnits([2, 4, 1], width, WIDTH).map((UNITS) => ({
      PIXELS: 8,
      UNITS,
      WIDTH,
      GROUP: 1,
      SUBGROUP: subgroupSize,
    }));
  },
};

function body(constants: Constants): string {
  const { SUBGROUP } = constants as { readonly [name: string]: number };
  const lanes = Math.min(CHUNK, SUBGROUP!);
  const reads = CHUNK / lanes;
  return convBody(constants, {
    arguments: '@builtin(subgroup_invocation_id) lane: u32,',
    place: (pixel) => `${pixel} * sizes.chunks * ${CHUNK}u + lane % ${lanes}u`,
    read: (column, at, inside) =>
      unroll(reads, (i) => `let x${column}_${i} = select(0.0, x[${at} + c * ${CHUNK}u + ${i * lanes}u], ${inside});`),
    input: (column, k) => `subgroupBroadcast(x${column}_${Math.floor(k / lanes)}, ${k % lanes}u)`,
  });
}
