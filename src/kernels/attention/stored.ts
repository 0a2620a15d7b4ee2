/**
 * How a key and a value lie in their slot: keys [chunk of 4 channels][slot], values [slot][chunk], in floats or in whole
 * numbers of 8 bits.
 *
 *     x ≈ q · s, |q| <= 127        s = max |x| / 127 of the head, one of the key and one of the value
 *
 * Both scales s share the word behind the key's last chunk, the upper half of an f32 each, rounded up: no size of x is too
 * large or too small for it, and x is off by at most s / 2 <= max |x| / 254 · (1 + 2^-7). What is not finite gives a scale
 * that is not, so that it is found in the logits. A token is rounded once, when it is put.
 */

import type { Dtype } from '../../tensor/dtype.ts';
import type { Constants } from '../../tensor/kernel.ts';

/** What kernels that read keys or values of this dtype are told: whether they are words of 4 whole numbers. */
export function storageConstants(dtype: Dtype): Constants {
  return dtype === 'u32' ? { INT8: true } : {};
}

/** WGSL: where the chunks of a slot are, what they hold, and the scales. */
export const stored = ({ INT8 }: Constants) => `
fn keyAt(cell: u32, slot: u32, c: u32) -> u32 { return (cell * ${INT8 ? '(VEC4S + 1)' : 'VEC4S'} + c) * sizes.slots + slot; }
fn valueAt(cell: u32, slot: u32, c: u32) -> u32 { return (cell * sizes.slots + slot) * VEC4S + c; }
${
  INT8
    ? `fn scales(cell: u32, slot: u32) -> vec2f {
  let word = keys[keyAt(cell, slot, VEC4S)];
  return bitcast<vec2f>(vec2u(word << 16, word & 0xffff0000));
}`
    : ''
}
fn keyIn(cell: u32, slot: u32, c: u32) -> vec4f { return keys_at(keyAt(cell, slot, c))${INT8 ? ' * scales(cell, slot).x' : ''}; }
fn valueIn(cell: u32, slot: u32, c: u32) -> vec4f { return values_at(valueAt(cell, slot, c))${INT8 ? ' * scales(cell, slot).y' : ''}; }`;

/**
 * WGSL: a workgroup puts a key and a value into a slot, lane c their chunk c; lanes from VEC4S on put nothing. In int8 the
 * largest |x| is found among the bits, as whole numbers, in which infinity and NaN are larger than any number.
 */
export const store = ({ INT8 }: Constants) =>
  INT8
    ? `
var<workgroup> largest: array<vec2u, VEC4S>;
fn magnitude(x: vec4f) -> u32 {
  let bits = bitcast<vec4u>(x) & vec4u(0x7fffffff);
  return max(max(bits.x, bits.y), max(bits.z, bits.w));
}
fn store(lane: u32, cell: u32, slot: u32, key: vec4f, value: vec4f) {
  if (lane < VEC4S) { largest[lane] = vec2u(magnitude(key), magnitude(value)); }
  workgroupBarrier();
  var most = vec2u(bitcast<u32>(1e-30f));
  for (var i = 0u; i < VEC4S; i++) { most = max(most, largest[i]); }
  workgroupBarrier();
  let exact = bitcast<vec2f>(min(most, vec2u(0x7f800000))) / 127;
  let words = (bitcast<vec2u>(exact) + 0xffff) & vec2u(0xffff0000);
  if (lane < VEC4S) {
    keys_put(keyAt(cell, slot, lane), key / bitcast<f32>(words.x));
    values_put(valueAt(cell, slot, lane), value / bitcast<f32>(words.y));
  }
  if (lane == 0) { keys[keyAt(cell, slot, VEC4S)] = (words.x >> 16) | words.y; }
}`
    : `
fn store(lane: u32, cell: u32, slot: u32, key: vec4f, value: vec4f) {
  if (lane >= VEC4S) { return; }
  keys_put(keyAt(cell, slot, lane), key);
  values_put(valueAt(cell, slot, lane), value);
}`;
