/** What options can be: the words of the tables in `options.ts`. */

import type { Check, OptionTable } from './options.ts';

/** @example whole(1), whole(0, 2 ** 31) */
export function whole(from: number, to = Number.MAX_SAFE_INTEGER): Check<number> {
  const range = to === Number.MAX_SAFE_INTEGER ? `from ${from}` : `from ${from} to ${to}`;
  return {
    expected: `a whole number ${range}`,
    fits: (value): value is number =>
      Number.isSafeInteger(value) && (value as number) >= from && (value as number) <= to,
  };
}

/** A whole number from `step` on that `step` divides. */
export function multipleOf(step: number): Check<number> {
  return {
    expected: `a multiple of ${step}`,
    fits: (value): value is number =>
      Number.isSafeInteger(value) && (value as number) > 0 && (value as number) % step === 0,
  };
}

/** Ends included; never NaN or infinite. */
export function numberFrom(from: number, to: number): Check<number> {
  return {
    expected: `a number from ${from} to ${to}`,
    fits: (value): value is number => Number.isFinite(value) && (value as number) >= from && (value as number) <= to,
  };
}

/** Not empty. */
export const text: Check<string> = {
  expected: 'a text that is not empty',
  fits: (value): value is string => typeof value === 'string' && value !== '',
};

export const flag: Check<boolean> = {
  expected: 'true or false',
  fits: (value): value is boolean => typeof value === 'boolean',
};

export function oneOf<T extends string>(...values: readonly T[]): Check<T> {
  return {
    expected: `one of ${values.join(', ')}`,
    fits: (value): value is T => values.includes(value as T),
  };
}

/** A function; what it is called with is its caller's to say. */
export function callback<F extends (...args: never) => unknown>(): Check<F> {
  return { expected: 'a function', fits: (value): value is F => typeof value === 'function' };
}

export const signal: Check<AbortSignal> = instance('an AbortSignal', () => AbortSignal);

/** `kind` is asked for late: some classes do not exist on every platform. */
export function instance<T>(expected: string, kind: () => abstract new (...args: never) => T): Check<T> {
  return { expected, fits: (value): value is T => value instanceof kind() };
}

/** An object that has these functions, its own or of its class. */
export function having<T>(expected: string, ...methods: readonly (keyof T & string)[]): Check<T> {
  return { expected, fits: (value): value is T => methods.every((name) => hasMethod(value, name)) };
}

export function listOf<T>(expected: string, item: Check<T>, least = 0): Check<readonly T[]> {
  return {
    expected,
    fits: (value): value is readonly T[] =>
      Array.isArray(value) && value.length >= least && Array.from(value).every((one) => item.fits(one)),
  };
}

export function either<A, B>(a: Check<A>, b: Check<B>): Check<A | B> {
  return {
    expected: `${a.expected} or ${b.expected}`,
    fits: (value): value is A | B => a.fits(value) || b.fits(value),
  };
}

export function required<T>(check: Check<T>): Check<T> {
  return { ...check, isRequired: true };
}

/** Options among the options. */
export function nested<T extends object>(options: OptionTable<T>['options']): Check<T> {
  return {
    expected: 'an object of options',
    fits: (value): value is T => typeof value === 'object' && value !== null && !Array.isArray(value),
    options: options as OptionTable<object>['options'],
  };
}

/** Whether a value offers a function of that name that is not simply everybody's. */
export function hasMethod(value: unknown, name: string): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const method: unknown = Reflect.get(value, name);
  return typeof method === 'function' && method !== Reflect.get(Object.prototype, name);
}
