/** Wrong values for every public function, made from what each declares. */

import type { Check, OptionTable } from '../../src/tensor/options.ts';
import { show } from '../../src/tensor/show.ts';
import { wrongOptions, wrongValues } from '../support/wrong-values.ts';
import type { Attack, Case } from './attack.ts';
import { publicFunctions } from './public-functions.ts';

/** A public function: its arguments that are values, and its options. */
export interface PublicFunction {
  readonly name: string;
  readonly values?: readonly (readonly [check: Check<unknown>, call: (value: never) => unknown])[];
  readonly options?: Options;
}

interface Options {
  readonly table: OptionTable<object>;
  readonly sound: object;
  readonly call: (options: never) => unknown;
}

/** `sound` are options that the function takes; around them others are made wrong. */
export function options<T extends object>(table: OptionTable<T>, sound: T, call: (options: T) => unknown): Options {
  return { table: table as unknown as OptionTable<object>, sound, call: call as (options: never) => unknown };
}

/** `check` says what is taken. */
export function value<T>(
  check: Check<T>,
  call: (value: T) => unknown,
): readonly [Check<unknown>, (value: never) => unknown] {
  return [check, call as (value: never) => unknown];
}

export async function optionsAttack(): Promise<Attack> {
  const { functions, close } = await publicFunctions();
  const cases = functions.flatMap(casesOf);
  return {
    name: 'options',
    count: cases.length,
    run: async (_, index) => cases[index % cases.length]!,
    close,
  };
}

function casesOf({ name, values = [], options: declared }: PublicFunction): Case[] {
  const wrong = values.flatMap(([check, call], argument) =>
    wrongValues(check).map((given) => ({
      what: `${name}(${argument}: ${show(given)})`,
      mustFail: true,
      end: async () => await call(given as never),
    })),
  );
  if (!declared) return wrong;
  const { table, sound, call } = declared;
  return [
    ...wrong,
    ...wrongOptions(table, sound).map(({ what, options: given }) => ({
      what: `${name}({ ${what} }) ${valueAt(given, what)}`,
      mustFail: true,
      end: async () => await call(given as never),
    })),
  ];
}

function valueAt(given: unknown, path: string): string {
  try {
    return show(path.split('.').reduce((at, key) => Reflect.get(at as object, key), given));
  } catch {
    return show(given);
  }
}
