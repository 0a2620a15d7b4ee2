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

/** Root of the mean square of a − b over that of b. */
export function relativeError(a: ArrayLike<number>, b: ArrayLike<number>): number {
  assert.equal(a.length, b.length, 'relativeError: length');
  let [error, square] = [0, 0];
  for (let i = 0; i < b.length; i++) {
    error += (a[i]! - b[i]!) ** 2;
    square += b[i]! ** 2;
  }
  return Math.sqrt(error / square);
}
