/** Seeded numbers for tests. */

/** `count` values in [-1, 1), by a small multiplicative generator (mulberry32). */
export function randomValues(seed: number, count: number): Float32Array<ArrayBuffer> {
  let state = seed | 0;
  return Float32Array.from({ length: count }, () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 31 - 1;
  });
}
