/** What was submitted to a device, and waiting for it. */

import type { Counters } from './counters.ts';
import type { Faults } from './faults.ts';
import { type Timed, WorkClock } from './work-clock.ts';

export interface QueueHost {
  readonly device: GPUDevice;
  readonly counters: Counters;
  readonly faults: Faults;
  /** Whether the driver runs shaders on the CPU. */
  readonly isSoftware: boolean;
}

export class WorkQueue {
  readonly #clock = new WorkClock();
  readonly #timed = new Map<string, Timed>();

  constructor(private readonly host: QueueHost) {}

  /** Encodes and submits; what goes wrong is the fault of `cause`. */
  submit(cause: object, label: string, encode: (encoder: GPUCommandEncoder) => void): void {
    const { device, counters, faults } = this.host;
    faults.guard(cause, label, () => {
      const encoder = device.createCommandEncoder();
      encode(encoder);
      device.queue.submit([encoder.finish()]);
    });
    counters.submits++;
  }

  /** What is known of a kind of work: programs are recorded anew for every run, and take as long as those before. */
  timedAs(kind: string): Timed {
    const timed = this.#timed.get(kind) ?? { averageMs: 0, isWarm: false };
    this.#timed.set(kind, timed);
    return timed;
  }

  /** These were submitted: from now on it is known how long they take. */
  submitted(programs: readonly { readonly timed: Timed }[]): void {
    const timed = programs.map((program) => program.timed);
    this.#clock.submitted(timed, performance.now());
  }

  /** Until all submitted work is done. */
  async done(): Promise<void> {
    await this.finish(() => this.host.device.queue.onSubmittedWorkDone());
    await this.host.faults.reported();
    this.host.faults.check();
  }

  /** Awaits what ends with the submitted work, asking for it only when it is nearly due where that takes a core. */
  async finish(asking: () => Promise<unknown>): Promise<void> {
    const { faults, isSoftware } = this.host;
    const sleepMs = isSoftware ? this.#clock.sleepMs(performance.now()) : 0;
    if (sleepMs > 0) await faults.orLost(new Promise((wake) => setTimeout(wake, sleepMs)));
    faults.check();
    const askedMs = performance.now();
    await faults.orLost(asking());
    this.#clock.done(performance.now(), askedMs);
  }
}
