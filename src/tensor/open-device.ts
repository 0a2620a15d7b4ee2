/** How a runtime comes by its device: a caller's, or one of the adapter that is found. */

import { findAdapter } from '#device';
import type { DriverKind } from './device/adapter.ts';
import type { RuntimeOptions } from './runtime-options.ts';
import { WANTED_FEATURES, WANTED_LIMITS } from './traits.ts';

export interface OpenDevice {
  readonly device: GPUDevice;
  readonly kind: DriverKind;
  readonly description: string;
  readonly maxBindingBytes: number;
  /** False for a caller's. */
  readonly isOurs: boolean;
  /** What must not be collected while the device is used. */
  readonly keepAlive?: unknown;
}

export async function openDevice(options: RuntimeOptions): Promise<OpenDevice> {
  const { maxBindingBytes = Number.POSITIVE_INFINITY } = options;
  const limit = ({ limits }: GPUDevice) =>
    Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize, maxBindingBytes);
  if (options.device) {
    const { device } = options;
    const description = "the caller's device";
    const kind = device.adapterInfo?.device === 'null-backend' ? 'null' : 'caller';
    return { device, kind, description, maxBindingBytes: limit(device), isOurs: false };
  }
  const { adapter, kind, description, keepAlive } = await findAdapter(options);
  const requiredLimits = Object.fromEntries(WANTED_LIMITS.map((name) => [name, adapter.limits[name]]));
  const requiredFeatures = WANTED_FEATURES.filter((name) => adapter.features.has(name));
  const device = await adapter.requestDevice({ requiredLimits, requiredFeatures });
  return { device, kind, description, maxBindingBytes: limit(device), isOurs: true, keepAlive };
}
