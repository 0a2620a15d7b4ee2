/** What kernels may know of the adapter they run on. */

import type { DriverKind } from './device/adapter.ts';

export interface AdapterTraits {
  /** The kind of machine: which table of priors applies. */
  readonly kind: DriverKind;
  /** Invocations of a subgroup, where the device has the feature `subgroups` and all its subgroups are of one size. */
  readonly subgroupSize: number | undefined;
  /** Arithmetic in f16. Storage in f16 needs no feature. */
  readonly hasHalfs: boolean;
  readonly maxWorkgroupBytes: number;
  readonly maxWorkgroupThreads: number;
}

/** Whether shaders run on the CPU: more threads gain nothing there, and barriers are compiled for seconds. */
export function isOnCpu({ kind }: Pick<AdapterTraits, 'kind'>): boolean {
  return kind === 'lavapipe' || kind === 'swiftshader' || kind === 'null';
}

/** Features that kernels can use; a device is asked for those that its adapter has. */
export const WANTED_FEATURES = [
  'subgroups',
  'shader-f16',
  'timestamp-query',
  'subgroup-size-control',
] as readonly GPUFeatureName[]; // the last one is Dawn's, and missing in the types

/** Limits of which a device is given all that its adapter has; the defaults are small. */
export const WANTED_LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxStorageBuffersPerShaderStage',
] as const;

export function traitsOf(device: GPUDevice, kind: DriverKind): AdapterTraits {
  const { subgroupMinSize, subgroupMaxSize, architecture, device: model } = device.adapterInfo;
  const isFixed = subgroupMinSize !== undefined && subgroupMinSize === subgroupMaxSize;
  return {
    // a browser, or a caller, may bring a driver that we know
    kind: architecture === 'swiftshader' ? architecture : model.startsWith('llvmpipe') ? 'lavapipe' : kind,
    subgroupSize: device.features.has('subgroups') && isFixed ? subgroupMinSize : undefined,
    hasHalfs: device.features.has('shader-f16'),
    maxWorkgroupBytes: device.limits.maxComputeWorkgroupStorageSize,
    maxWorkgroupThreads: Math.min(
      device.limits.maxComputeInvocationsPerWorkgroup,
      device.limits.maxComputeWorkgroupSizeX,
    ),
  };
}
