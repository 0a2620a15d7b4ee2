/** Comparison of numbers with a stated tolerance. */

import assert from 'node:assert/strict';

export interface Tolerance {
  readonly absolute: number;
  readonly relative?: number;
}

/** Fails naming the worst place unless |actual − expected| <= absolute + relative · |expected| everywhere. */
export function close(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  { absolute, relative = 0 }: Tolerance,
  label = 'values',
): void {
  assert.equal(actual.length, expected.length, `${label}: length`);
  let worst = -1;
  let excess = 0;
  for (let i = 0; i < expected.length; i++) {
    const over = Math.abs(actual[i]! - expected[i]!) - absolute - relative * Math.abs(expected[i]!);
    if (!(over <= excess)) {
      excess = Number.isNaN(over) ? Number.POSITIVE_INFINITY : over;
      worst = i;
    }
  }
  assert.equal(
    worst,
    -1,
    `${label}[${worst}]: expected ${expected[worst]}, got ${actual[worst]} (${excess} over ${absolute} + ${relative} relative)`,
  );
}
