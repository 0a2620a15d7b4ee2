/** Registers alone, for every adapter: all threads of a tile of pixels read the same addresses of x, neighbors of the weight. */

import { type Constants, defineKernel } from '../../../tensor/kernel.ts';
import { isOnCpu } from '../../../tensor/traits.ts';
import { LANES } from '../../linear/weight.ts';
import { BINDINGS, convBody } from '../wgsl.ts';
import { type ConvVariant, fewerUnits } from './variant.ts';

export const registers: ConvVariant = {
  kernel: /* @__PURE__ */ defineKernel('conv.registers', { x: 'read vec4f', ...BINDINGS }, body),

  tiles({ width }, adapter) {
    const tile = { PIXELS: 8, WIDTH: LANES, GROUP: isOnCpu(adapter) ? 1 : 4 };
    return fewerUnits([2, 1], width, LANES).map((UNITS) => ({ ...tile, UNITS }));
  },
};

function body(constants: Constants): string {
  return convBody(constants, {
    arguments: '',
    place: (pixel) => `${pixel} * sizes.chunks * 2u`,
    read: (column, at, inside) => `
      let low${column} = select(vec4f(), x[${at} + 2u * c], ${inside});
      let high${column} = select(vec4f(), x[${at} + 2u * c + 1u], ${inside});`,
    input: (column, k) => `${k < 4 ? 'low' : 'high'}${column}.${'xyzw'[k % 4]}`,
  });
}
