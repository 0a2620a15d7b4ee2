/** Values that no option takes by accident, and from an option's declaration those that it must refuse. */

import { nested } from '../../src/tensor/checks.ts';
import type { Check, OptionTable } from '../../src/tensor/options.ts';

const revoked = Proxy.revocable({}, {});
revoked.revoke();

export const ODD_VALUES: readonly unknown[] = [
  ...[Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -1, -0.5, 1.5, 2 ** 53, 1e308, 0],
  ...['', ' ', '\0', 'x', '1', 'line\nbreak', '\x1b[31m', '\ud800', '__proto__', 'constructor', 'x'.repeat(300)],
  ...[null, true, false, 10n, Symbol('odd'), Symbol.iterator],
  ...[() => 1, class Odd {}, new Date(Number.NaN), /x/, new Map(), new Error('odd'), Promise.resolve(1)],
  ...[[], [undefined], new Array(3), ['x', Symbol('odd')], [[]], {}, { length: 1 }, Object.create(null)],
  ...[new Proxy({}, { get: () => Symbol('odd') }), revoked.proxy],
  { toString: null, valueOf: null },
  {
    toString() {
      throw new Error('odd');
    },
  },
  {
    get name() {
      throw new Error('odd');
    },
  },
];

export interface WrongOptions {
  readonly what: string;
  readonly options: unknown;
}

/** Options that must end in an OptionError, around `sound` ones: wrong values for every option, missing and unknown keys. */
export function wrongOptions<T extends object>(table: OptionTable<T>, sound: T): WrongOptions[] {
  const keys = Object.entries(table.options as Readonly<Record<string, Check<unknown>>>);
  const values = keys.flatMap(([key, check]) => [
    ...wrongValues(check).map((value) => ({ what: key, options: { ...sound, [key]: value } })),
    ...(check.options
      ? wrongOptions({ place: key, options: check.options }, {}).map(({ what, options }) => ({
          what: `${key}.${what}`,
          options: { ...sound, [key]: options },
        }))
      : []),
  ]);
  const unknown = ['no such option', '__proto__x', Symbol('odd'), ...keys.map(([key]) => `${key}s`)]
    .filter((key) => typeof key !== 'string' || !Object.hasOwn(table.options, key))
    .map((key) => ({ what: 'unknown', options: { ...sound, [key]: 1 } }));
  const missing = keys
    .filter(([, { isRequired }]) => isRequired)
    .map(([key]) => ({ what: `no ${key}`, options: { ...sound, [key]: undefined } }));
  const whole = wrongValues(nested({}));
  return [...values, ...unknown, ...missing, ...whole.map((options) => ({ what: 'options', options }))];
}

/** Of the odd values, those that a check does not say it takes. */
export function wrongValues(check: Check<unknown>): readonly unknown[] {
  return ODD_VALUES.filter((value) => {
    try {
      return !check.fits(value);
    } catch {
      return true;
    }
  });
}
