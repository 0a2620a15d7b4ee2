/** A recorded list of dispatches: pipelines, bind groups and memory are made once, then it is only re-encoded. */

import type { Counters } from './counters.ts';
import { assert, DisposedError } from './errors.ts';
import type { Faults } from './faults.ts';
import type { Memory, Region } from './memory.ts';
import type { CompiledKernel, Pipelines } from './pipelines.ts';
import type { TensorHost } from './tensor.ts';
import type { Timed } from './work-clock.ts';
import type { WorkQueue } from './work-queue.ts';

/** A dispatch as it is encoded. */
export interface Encoded {
  readonly kernel: CompiledKernel;
  readonly bindGroup: GPUBindGroup;
  readonly x: number;
  readonly y: number;
  readonly z: number;
}

/** What a program asks of the runtime that records and runs it. */
export interface ProgramHost extends TensorHost {
  readonly counters: Counters;
  readonly memory: Memory;
  readonly faults: Faults;
  readonly pipelines: Pipelines;
  readonly queue: WorkQueue;
  run(...programs: readonly Program<unknown>[]): void;
}

export class Program<T = unknown> {
  /** Of all that dispatch as much. */
  readonly timed: Timed;
  #disposed = false;

  constructor(
    private readonly runtime: ProgramHost,
    readonly label: string,
    /** What the recorded function returned. */
    readonly result: T,
    private readonly parts: {
      readonly encoded: readonly Encoded[];
      /** All that it reads or writes; its own, which share buffers; and those buffers. */
      readonly used: ReadonlySet<Region>;
      readonly regions: readonly Region[];
      readonly buffers: readonly Region[];
    },
  ) {
    for (const { users } of this.#held()) users.add(this);
    const workgroups = parts.encoded.reduce((sum, { x, y, z }) => sum + x * y * z, 0);
    this.timed = runtime.queue.timedAs(`${label}, ${parts.encoded.length} dispatches of ${workgroups}`);
  }

  /** Settles when all its kernels are compiled, which most recordings wait for; rejects with the DeviceError of one that is not. */
  async ready(): Promise<void> {
    await Promise.all(this.parts.encoded.map(({ kernel }) => kernel.ready));
  }

  /** Number of dispatches of one run. */
  get dispatches(): number {
    return this.parts.encoded.length;
  }

  /** Bytes of memory for everything made inside the recording. */
  get scratchBytes(): number {
    return this.parts.buffers.reduce((sum, region) => sum + region.bytes, 0);
  }

  /** Runs once: one submit. `runtime.run` runs several programs in one. */
  run(): void {
    this.runtime.run(this);
  }

  /** Adds the dispatches to an open pass; returns how many. */
  encode(pass: GPUComputePassEncoder): number {
    if (this.#disposed) throw new DisposedError(`${this.label}: expected a program, but it was disposed`);
    let pipeline: GPUComputePipeline | undefined;
    for (const step of this.parts.encoded) {
      const { pipeline: next, key } = step.kernel;
      assert(next, key); // `ready` has been awaited
      if (next !== pipeline) pass.setPipeline(next);
      pipeline = next;
      pass.setBindGroup(0, step.bindGroup);
      pass.dispatchWorkgroups(step.x, step.y, step.z);
    }
    return this.parts.encoded.length;
  }

  /** One line a dispatch: the kernel's key and its workgroups. */
  listing(): readonly string[] {
    return this.parts.encoded.map(({ kernel, x, y, z }) => `${kernel.key} @ ${x} x ${y} x ${z}`);
  }

  /** Throws what WebGPU had against its memory or its runs; see `Faults`. */
  expectNoFault(): void {
    const { buffers, used } = this.parts;
    this.runtime.faults.expectNone([...buffers, ...used, buffers, this]); // the cause before what follows of it
  }

  /** Frees the memory of everything made inside the recording. Idempotent. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    const { used, regions, buffers } = this.parts;
    for (const { users } of this.#held()) users.delete(this);
    for (const region of used) this.runtime.memory.release(region, this);
    for (const region of buffers) this.runtime.memory.free(region);
    for (const region of regions) region.state = 'disposed';
    for (const cause of [this, buffers, ...regions]) this.runtime.faults.forget(cause);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** What lives as long as it does. */
  #held(): readonly { readonly users: Set<object> }[] {
    return [...this.parts.used, ...this.parts.encoded.map(({ kernel }) => kernel)];
  }
}
