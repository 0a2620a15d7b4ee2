/** Shapes are plain lists of whole numbers, row major. */

import { ShapeError } from './errors.ts';

export type Shape = readonly number[];

/** Number of elements. */
export function count(shape: Shape): number {
  return shape.reduce((product, size) => product * size, 1);
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((size, axis) => size === b[axis]);
}

/** `[2, 3, 4]` */
export function describeShape(shape: Shape): string {
  return `[${shape.join(', ')}]`;
}

/** Throws ShapeError with both shapes unless they are equal. */
export function expectShape(place: string, got: Shape, expected: Shape): void {
  if (!sameShape(got, expected)) {
    throw new ShapeError(`${place}: expected ${describeShape(expected)}, got ${describeShape(got)}`);
  }
}

/** Smallest multiple of `step` that is at least `value`. */
export function roundUp(value: number, step: number): number {
  return Math.ceil(value / step) * step;
}
