/** What the two platforms (Node, browser) agree on: how an adapter is asked for, found and listed. */

import { OptionError } from '../errors.ts';

/** The names of the drivers that can be asked for; `auto` takes the best that works. */
export const DRIVERS = ['auto', 'gpu', 'lavapipe', 'swiftshader', 'null'] as const;
/** A driver by name. */
export type Driver = (typeof DRIVERS)[number];

/**
 * What was found. `gpu` is hardware; `lavapipe` is Mesa's software driver (or another one that the system brings, as
 * Windows does); `swiftshader` comes from npm; `browser` is whatever the browser chose; `null` runs no shader.
 */
export type AdapterKind = Exclude<Driver, 'auto'> | 'browser';

/** Kinds of machine that kernels are tuned for. */
export type DriverKind = AdapterKind | 'caller';

/** Which driver is wanted. */
export interface AdapterChoice {
  /** @defaultValue 'auto': the machine's GPU, else a lavapipe that works, else SwiftShader */
  readonly driver?: Driver;
  /** Names of Dawn toggles to enable, such as `disable_robustness`; browsers ignore them. @defaultValue [] */
  readonly dawnToggles?: readonly string[];
}

/** The adapter, and one line that says which driver it is. */
export interface FoundAdapter {
  readonly adapter: GPUAdapter;
  readonly kind: AdapterKind;
  readonly description: string;
  /** Must be referenced as long as the device lives: in Node the process ends with SIGSEGV once it is collected. */
  readonly keepAlive: unknown;
}

/** One driver as `listAdapters` reports it. */
export type ListedAdapter =
  | {
      readonly state: 'usable';
      readonly kind: AdapterKind;
      readonly description: string;
      readonly features: readonly string[];
      readonly maxBindingBytes: number;
    }
  | { readonly state: 'unusable'; readonly kind: AdapterKind; readonly reason: string };

/** A short text that later runs find. */
export interface CachedText {
  /** Where it is, for messages. */
  readonly place: string;
  /** Undefined where there is none. Throws StorageError. */
  read(): Promise<string | undefined>;
  /** All or nothing. Throws StorageError. */
  write(text: string): Promise<void>;
}

/** Throws OptionError unless `value` names a driver. `place` says where the name stood. */
export function checkDriver(place: string, value: string): Driver {
  const driver = DRIVERS.find((name) => name === value);
  if (!driver) throw new OptionError(`${place}: expected one of ${DRIVERS.join(', ')}, got '${value}'`);
  return driver;
}

/** The line of a list for an adapter that was found. */
export function listed(found: FoundAdapter): ListedAdapter {
  return {
    state: 'usable',
    kind: found.kind,
    description: found.description,
    features: [...found.adapter.features].sort(),
    maxBindingBytes: found.adapter.limits.maxStorageBufferBindingSize,
  };
}

/** One line: the driver's name and what it says of itself, without empty parts. */
export function describeAdapter(info: GPUAdapterInfo): string {
  return [info.vendor, info.architecture, info.description || info.device].filter(Boolean).join(', ');
}

/** An adapter with its driver's version: what was measured on one need not hold for another. */
export function identify({ vendor, architecture, device, description }: GPUAdapterInfo, version = ''): string {
  return [vendor, architecture, device, description, version].filter(Boolean).join(', ');
}
