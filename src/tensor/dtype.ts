/**
 * The number formats on the GPU and the conversions into them.
 *
 * f16 is stored packed, two to a `u32`, on every adapter, and unpacked in the shader: memory is the same with and
 * without the `shader-f16` feature, and there is one path to test.
 */

import { FormatError } from './errors.ts';

/** What a tensor holds. */
export type Dtype = 'f32' | 'f16' | 'u32';

/** Bytes of one element. */
export const ELEMENT_BYTES: Readonly<Record<Dtype, number>> = { f32: 4, f16: 2, u32: 4 };

/** Bytes of `count` elements, rounded up to 16 so that every tensor can be read in whole `vec4`s. */
export function storedBytes(dtype: Dtype, count: number): number {
  return Math.max(16, Math.ceil((count * ELEMENT_BYTES[dtype]) / 16) * 16);
}

const scratch = new Float32Array(1);
const scratchBits = new Uint32Array(scratch.buffer);

/** Bits of the f16 nearest to `value`, ties to even; what is too large becomes infinity. */
export function halfBits(value: number): number {
  scratch[0] = value;
  const bits = scratchBits[0]!;
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude >= 0x47800000) return sign | (magnitude > 0x7f800000 ? 0x7e00 : 0x7c00);
  if (magnitude < 0x38800000) {
    // below the normal range: one unit is 2^-24, and adding 0.5 lets the f32 adder do the rounding
    scratch[0] = Math.abs(value) + 0.5;
    return sign | (scratchBits[0]! - 0x3f000000);
  }
  const odd = (magnitude >>> 13) & 1;
  return sign | ((magnitude - 0x38000000 + 0xfff + odd) >>> 13);
}

/** The number an f16's bits stand for. */
export function halfValue(bits: number): number {
  const exponent = (bits >>> 10) & 31;
  const fraction = bits & 1023;
  const sign = bits & 0x8000 ? -1 : 1;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** f32 values to f16 bits. */
export function toHalf(values: Float32Array): Uint16Array<ArrayBuffer> {
  const out = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) out[i] = halfBits(values[i]!);
  return out;
}

let halfTable: Float32Array | undefined;

/** f16 bits to f32 values, by table: 256 KiB once, then one look-up an element. */
export function fromHalf(bits: Uint16Array): Float32Array<ArrayBuffer> {
  halfTable ??= Float32Array.from({ length: 65536 }, (_, i) => halfValue(i));
  const out = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) out[i] = halfTable[bits[i]!]!;
  return out;
}

/**
 * A checkpoint's little-endian bytes as f32 values. `bytes` must be aligned to the element size.
 *
 * Throws FormatError for a dtype that is not a float of 64 bits or fewer.
 */
export function widen(bytes: Uint8Array<ArrayBuffer>, dtype: string, place: string): Float32Array<ArrayBuffer> {
  const aligned = bytes.byteOffset % 8 === 0 ? bytes : bytes.slice();
  const { buffer, byteOffset, byteLength } = aligned;
  switch (dtype) {
    case 'f32':
      return new Float32Array(buffer, byteOffset, byteLength / 4);
    case 'f64':
      return Float32Array.from(new Float64Array(buffer, byteOffset, byteLength / 8));
    case 'f16':
      return fromHalf(new Uint16Array(buffer, byteOffset, byteLength / 2));
    case 'bf16': {
      const halves = new Uint16Array(buffer, byteOffset, byteLength / 2);
      const out = new Float32Array(halves.length);
      const bits = new Uint32Array(out.buffer);
      for (let i = 0; i < halves.length; i++) bits[i] = halves[i]! << 16;
      return out;
    }
    default:
      throw new FormatError(`${place}: expected a tensor of f32, f16, bf16 or f64, got ${dtype}`);
  }
}
