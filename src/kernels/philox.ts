/** Random bits from a counter and a key, the same on every device. Source: Philox, Salmon et al., SC 2011. */

/** WGSL: 10 rounds of Philox 4x32. `mulWide` is the 64-bit product, from halves of 16 bits. */
export const PHILOX = `
fn mulWide(a: u32, b: u32) -> vec2u {
  let al = a & 0xffff; let ah = a >> 16;
  let bl = b & 0xffff; let bh = b >> 16;
  let middle = ah * bl + ((al * bl) >> 16);
  let carry = al * bh + (middle & 0xffff);
  return vec2u(ah * bh + (middle >> 16) + (carry >> 16), a * b);
}
fn philox(counter: vec4u, key: vec2u) -> vec4u {
  var c = counter;
  var k = key;
  for (var round = 0; round < 10; round++) {
    let p = mulWide(0xd2511f53u, c.x);
    let q = mulWide(0xcd9e8d57u, c.z);
    c = vec4u(q.x ^ c.y ^ k.x, q.y, p.x ^ c.w ^ k.y, p.y);
    k += vec2u(0x9e3779b9u, 0xbb67ae85u);
  }
  return c;
}`;
