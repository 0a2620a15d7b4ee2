/** A checkpoint of given names and shapes with random values, written a slice at a time: full-size models without their weights. */

import { open } from 'node:fs/promises';
import { randomValues } from './random.ts';

/** Values of the block that is written over and over, each time from another place. */
const BLOCK = 1 << 20;

/** Writes safetensors in bf16. Values are uniform, of variance 1 / inputs for matrices and about 1 for vectors. */
export async function writeSynthetic(path: string, shapes: ReadonlyMap<string, readonly number[]>): Promise<void> {
  const header: Record<string, object> = {};
  let at = 0;
  for (const [name, shape] of shapes) {
    const bytes = 2 * shape.reduce((product, size) => product * size, 1);
    header[name] = { dtype: 'BF16', shape, data_offsets: [at, at + bytes] };
    at += bytes;
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const file = await open(path, 'w');
  try {
    const length = new Uint8Array(8);
    new DataView(length.buffer).setBigUint64(0, BigInt(text.length), true);
    await file.write(length);
    await file.write(text);
    const uniform = randomValues(1, BLOCK);
    let turn = 0;
    for (const [name, shape] of shapes) {
      const block = scaledBlock(uniform, name, shape);
      let left = shape.reduce((product, size) => product * size, 1);
      while (left > 0) {
        const from = (turn++ * 4099) % (BLOCK / 2);
        const part = block.subarray(from, from + Math.min(left, BLOCK - from));
        await file.write(new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
        left -= part.length;
      }
    }
  } finally {
    await file.close();
  }
}

/** The block as bf16 at the scale of a tensor. */
function scaledBlock(uniform: Float32Array, name: string, shape: readonly number[]): Uint16Array {
  const isGain = shape.length === 1 && /norm|ln_/.test(name);
  const inputs = shape.slice(1).reduce((product, size) => product * size, 1);
  const scale = shape.length > 1 ? Math.sqrt(3 / inputs) : isGain ? 0.1 : 0.02;
  const words = new Uint32Array(Float32Array.from(uniform, (v) => (isGain ? 1 : 0) + v * scale).buffer);
  return Uint16Array.from(words, (word) => word >>> 16);
}
