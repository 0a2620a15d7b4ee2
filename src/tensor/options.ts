/**
 * Options of public functions, declared as tables and checked before anything happens.
 *
 *     const READ: OptionTable<ReadOptions> = { place: 'read', options: { retries: whole(0, 100), onByte: callback } };
 *     const { retries = 4 } = checkOptions(READ, given);
 *
 * A caller's own keys alone count, each is read once, and a key that is not declared is refused with the nearest that is.
 */

import { OptionError } from './errors.ts';
import { show } from './show.ts';

/** What one option may be. */
export interface Check<T> {
  /** As errors say it, after `expected`. */
  readonly expected: string;
  fits(value: unknown): value is T;
  readonly isRequired?: boolean;
  /** Errors do not show the value. */
  readonly isSecret?: boolean;
  /** Earlier names of a value, and what they are called now. */
  readonly renamed?: Readonly<Record<string, string>>;
  /** Of an object of options: what they are. */
  readonly options?: OptionTable<object>['options'];
}

export interface OptionTable<T extends object> {
  /** The function that takes them. */
  readonly place: string;
  readonly options: { readonly [K in keyof T]-?: Check<Exclude<T[K], undefined>> };
  /** Earlier names, and what they are called now. */
  readonly renamed?: Readonly<Record<string, string>>;
}

type Declared = Readonly<Record<string, Check<unknown>>>;

/**
 * The options that are given, in an object without a prototype. An option that is undefined counts as left out.
 *
 * Throws OptionError for the first that is unknown, wrong or missing.
 */
export function checkOptions<T extends object>(table: OptionTable<T>, given: unknown): T {
  return checked(table.place, '', table.options as Declared, table.renamed ?? {}, given) as T;
}

/** Of a larger set of checked options, those that another function takes. */
export function pickOptions<T extends object>(table: OptionTable<T>, options: Partial<T>): T {
  const names = Object.keys(table.options).filter((name) => Object.hasOwn(options, name));
  return bare(names.map((name) => [name, options[name as keyof T]])) as T;
}

/** An argument that is no object of options. Throws OptionError unless it fits. */
export function checkValue<T>(place: string, check: Check<T>, value: unknown): T {
  if (fits(check, value)) return value;
  throw wrong(place, check, value);
}

function checked(
  place: string,
  prefix: string,
  declared: Declared,
  renamed: Readonly<Record<string, string>>,
  given: unknown,
) {
  const entries = ownEntries(place, given).map(([key, value]): [string, unknown] => {
    if (typeof key === 'string' && Object.hasOwn(renamed, key))
      throw new OptionError(`${prefix}${key}: expected ${renamed[key]}, which is its name now; rename the option`);
    const check = typeof key === 'string' && Object.hasOwn(declared, key) ? declared[key] : undefined;
    if (typeof key !== 'string' || !check) throw unknownOption(place, key, Object.keys(declared));
    if (value === undefined) return [key, undefined];
    const path = `${prefix}${key}`;
    if (!fits(check, value)) throw wrong(path, check, value);
    return [key, check.options ? checked(path, `${path}.`, check.options as Declared, {}, value) : value];
  });
  const found = bare(entries.filter(([, value]) => value !== undefined));
  for (const [name, check] of Object.entries(declared))
    if (check.isRequired && !Object.hasOwn(found, name)) throw wrong(`${prefix}${name}`, check, undefined);
  return found;
}

/** Each value read once: a getter or a proxy could answer differently the second time. */
function ownEntries(place: string, given: unknown): readonly (readonly [PropertyKey, unknown])[] {
  const expected = `${place}: expected an object of options`;
  try {
    if (typeof given === 'object' && given !== null && !Array.isArray(given)) {
      const keys = Reflect.ownKeys(given).filter((key) => Object.prototype.propertyIsEnumerable.call(given, key));
      return keys.map((key) => [key, (given as Record<PropertyKey, unknown>)[key]] as const);
    }
  } catch (cause) {
    throw new OptionError(`${expected}, got one that cannot be read`, { cause });
  }
  throw new OptionError(`${expected}, got ${show(given)}`);
}

/** A value can throw when it is looked at, such as a revoked proxy: it fits nothing then. */
function fits<T>(check: Check<T>, value: unknown): value is T {
  try {
    return check.fits(value);
  } catch {
    return false;
  }
}

function wrong(place: string, { expected, isSecret, renamed = {} }: Check<unknown>, value: unknown): OptionError {
  if (typeof value === 'string' && Object.hasOwn(renamed, value))
    return new OptionError(`${place}: expected ${renamed[value]}, got its old name ${show(value)}`);
  const got = isSecret && value !== undefined ? 'one that is not shown' : show(value);
  return new OptionError(`${place}: expected ${expected}, got ${got}`);
}

function unknownOption(place: string, key: PropertyKey, known: readonly string[]): OptionError {
  const near = typeof key === 'string' ? nearest(key, known) : undefined;
  const remedy = near ? `did you mean ${near}?` : `it takes ${known.join(', ')}`;
  return new OptionError(`${place}: expected no option ${show(key)}, got one; ${remedy}`);
}

/** The word at the smallest distance, if that is a slip of the fingers: a third of the letters. */
export function nearest(word: string, words: readonly string[]): string | undefined {
  if (word.length > 40) return undefined;
  const ranked = words.map((other) => ({ other, edits: distance(word.toLowerCase(), other.toLowerCase()) }));
  const [best] = ranked.sort((a, b) => a.edits - b.edits);
  return best && best.edits <= Math.max(1, best.other.length / 3) ? best.other : undefined;
}

/** Letters to insert, remove or replace (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    row = next;
  }
  return row[b.length]!;
}

/** Without a prototype: what is not there stays so, whatever somebody put on `Object.prototype`. */
function bare(entries: readonly (readonly [string, unknown])[]): object {
  const result: Record<string, unknown> = Object.create(null);
  for (const [key, value] of entries) result[key] = value;
  return result;
}
