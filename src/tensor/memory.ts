/** Buffers and their bytes. Every buffer has an owner from its first byte on, and is destroyed when nothing needs it. */

import type { Counters } from './counters.ts';
import { DeviceError, OutOfMemoryError } from './errors.ts';
import type { Faults } from './faults.ts';

/**
 * Bytes on the GPU. Inside a recording a region has no buffer yet: the program gives it one when the recording ends, and
 * regions that are never needed at the same time share.
 */
export interface Region {
  readonly bytes: number;
  buffer: GPUBuffer | undefined;
  state: 'virtual' | 'live' | 'disposed';
  /** False for a region inside a program, whose buffer is the program's and may be shared. */
  readonly owned: boolean;
  /** Programs that read or write it. Its buffer outlives `free` until they are disposed too. */
  readonly users: Set<object>;
}

/** A region without memory. */
export function virtualRegion(bytes: number, { owned }: { readonly owned: boolean }): Region {
  return { bytes, buffer: undefined, state: 'virtual', owned, users: new Set() };
}

/** GPUBufferUsage by number: the global does not exist in Node. */
export const USAGE = { mapRead: 1, copySource: 4, copyTarget: 8, uniform: 64, storage: 128 } as const;
const TENSOR_USAGE = USAGE.storage | USAGE.uniform | USAGE.copySource | USAGE.copyTarget;

export class Memory {
  /** Bytes of all buffers alive, and the most there have been. */
  liveBytes = 0;
  peakBytes = 0;
  /** Regions made in the innermost `together`. */
  #made: Region[] | undefined;

  constructor(
    private readonly device: GPUDevice,
    private readonly counters: Counters,
    private readonly faults: Faults,
    /** Bytes that one binding may have. */
    private readonly maxBindingBytes: number,
  ) {}

  /** A region of its own, which takes its memory when it is first used. */
  virtual(bytes: number): Region {
    const region = virtualRegion(bytes, { owned: true });
    this.#made?.push(region);
    return region;
  }

  /** All or nothing: when `make` throws, the tensors made in it are freed. */
  together<T>(make: () => T): T {
    const outer = this.#made;
    const made: Region[] = [];
    this.#made = made;
    try {
      const result = make();
      outer?.push(...made);
      return result;
    } catch (error) {
      for (const region of made) this.free(region);
      throw error;
    } finally {
      this.#made = outer;
    }
  }

  /** Throws DeviceError for more bytes than a binding may have. */
  expectFits(label: string, bytes: number): void {
    if (bytes <= this.maxBindingBytes) return;
    throw new DeviceError(
      `${label}: expected at most ${this.maxBindingBytes} bytes in one buffer, got ${bytes}; use a smaller batch or image, or f16`,
    );
  }

  /** Gives a region a buffer. That there is no memory for it is told later, by the region's fault. */
  allocate(region: Region, label: string, usage: number = TENSOR_USAGE): GPUBuffer {
    this.expectFits(label, region.bytes);
    const { bytes } = region;
    try {
      const create = () => this.device.createBuffer({ size: bytes, usage, label });
      region.buffer = this.faults.guard(region, `${label} (${bytes} bytes)`, create, this.liveBytes);
    } catch (error) {
      const text = `${label}: expected a buffer of ${bytes} bytes, got ${(error as Error).message}`;
      throw new OutOfMemoryError(text, this.liveBytes, { cause: error });
    }
    region.state = 'live';
    this.counters.buffers++;
    this.liveBytes += bytes;
    this.peakBytes = Math.max(this.peakBytes, this.liveBytes);
    return region.buffer;
  }

  /** Takes a region's buffer back, or has the last program that uses it do so. Idempotent. */
  free(region: Region): void {
    region.state = 'disposed';
    if (region.users.size === 0) this.#destroy(region);
  }

  /** A program is done with a region. */
  release(region: Region, user: object): void {
    region.users.delete(user);
    if (region.owned && region.state === 'disposed' && region.users.size === 0) this.#destroy(region);
  }

  #destroy(region: Region): void {
    if (region.buffer) {
      region.buffer.destroy();
      this.liveBytes -= region.bytes;
    }
    region.buffer = undefined;
    this.faults.forget(region);
  }
}
