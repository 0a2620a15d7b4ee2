/** The way of a tensor's bytes to the CPU: a buffer that is made once, and mapped after each run that filled it. */

import { DeviceError, DisposedError } from './errors.ts';
import { USAGE, virtualRegion } from './memory.ts';
import type { ProgramHost } from './program.ts';
import type { Tensor } from './tensor.ts';

const MAP_READ = 1;

export class ReadBack {
  readonly #copy;

  /** Of the first `bytes` bytes of a tensor. */
  constructor(
    private readonly runtime: ProgramHost,
    private readonly tensor: Tensor,
    private readonly bytes: number = tensor.bytes,
  ) {
    this.#copy = virtualRegion(bytes, { owned: true });
    runtime.memory.allocate(this.#copy, `${tensor.label}: read-back`, USAGE.mapRead | USAGE.copyTarget);
  }

  /** Adds the copy to an open encoder, after its passes. */
  encode(encoder: GPUCommandEncoder): void {
    encoder.copyBufferToBuffer(this.tensor.buffer, 0, this.#copy.buffer!, 0, this.bytes); // there until `dispose`
  }

  /** What the last copy brought. Throws what has gone wrong with the work before it. */
  async read(): Promise<ArrayBuffer> {
    const { counters, faults } = this.runtime;
    const { region, label } = this.tensor;
    const staging = this.#copy.buffer!; // likewise
    counters.maps++;
    // the wait before it may be long enough for a run that was aborted to be gone
    const map = async () => {
      if (this.#copy.state === 'live') await staging.mapAsync(MAP_READ);
      else throw new DisposedError(`${label}: expected a run that goes on, but it was disposed`);
    };
    const failure = await this.runtime.queue.finish(map).catch((error: Error) => error);
    if (failure instanceof DisposedError) throw failure;
    await faults.reported();
    faults.check();
    faults.expectNone([region, ...region.users, this.#copy]);
    if (failure) throw new DeviceError(`${label}: expected to map ${this.bytes} bytes, got ${failure.message}`);
    const bytes = staging.getMappedRange().slice(0);
    staging.unmap();
    return bytes;
  }

  dispose(): void {
    this.runtime.memory.free(this.#copy);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
