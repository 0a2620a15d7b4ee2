/**
 * What WebGPU reports late, kept with whoever caused it: a region whose memory was refused, or a program whose run was.
 *
 * Work is done inside error scopes, so nothing reaches the device's `onuncapturederror`, which stays its owner's. A fault
 * lasts as long as its cause: who disposes of that has done with it, and the runtime goes on. Only a lost device is final.
 */

import { DeviceError, DisposedError, OutOfMemoryError, type RasterlineError } from './errors.ts';

/** Innermost last: what a scope does not catch goes to the one around it. */
const KINDS = ['internal', 'out-of-memory', 'validation'] as const;

const REMEDIES = {
  internal: '',
  'out-of-memory': '; use a smaller batch, image or budgetLines, or dtype f16, int8 or int4',
  validation: '',
} as const;

export class Faults {
  readonly #known = new Map<object, DeviceError>();
  readonly #pending = new Set<Promise<void>>();
  /** What is reported about these comes too late to matter. */
  readonly #gone = new WeakSet<object>();

  readonly #waiting = new Set<(end: RasterlineError) => void>();
  #end: RasterlineError | undefined;

  constructor(private readonly device: GPUDevice) {
    void device.lost.then(({ reason, message }) => {
      this.#end ??= new DeviceError(
        `device: expected it to stay, lost it (${reason || 'unknown'}): ${message}; open a new Runtime and load again`,
      );
      for (const end of this.#waiting) end(this.#end);
    });
  }

  /** Nothing may be done any more. True the first time. */
  close(): boolean {
    if (this.#end instanceof DisposedError) return false;
    this.#end = new DisposedError('runtime: expected an open one, but it was disposed');
    return true;
  }

  /** Whether the device is gone: only another runtime goes on then. */
  get isLost(): boolean {
    return this.#end instanceof DeviceError;
  }

  /** Throws DisposedError after `close`, and DeviceError once the device is lost. */
  check(): void {
    if (this.#end) throw this.#end;
  }

  /** What it brings, but rejects once the device is lost or closed. Afterwards nothing is left of the waiting. */
  async orLost<T>(work: Promise<T>): Promise<T> {
    this.check();
    let end = (_: RasterlineError) => {};
    const ended = new Promise<never>((_, reject) => {
      end = reject;
    });
    this.#waiting.add(end);
    try {
      return await Promise.race([work, ended]);
    } finally {
      this.#waiting.delete(end);
    }
  }

  /** Does `work` for `cause`. What it returns may be invalid; `expectNone` tells, once `reported` has settled. `heldBytes`: see OutOfMemoryError. */
  guard<T>(cause: object, place: string, work: () => T, heldBytes = 0): T {
    for (const kind of KINDS) this.device.pushErrorScope(kind);
    try {
      return work();
    } finally {
      for (const kind of [...KINDS].reverse()) this.#collect(cause, place, kind, heldBytes);
    }
  }

  /** Waits until everything guarded so far has been answered. */
  async reported(): Promise<void> {
    await Promise.all(this.#pending);
  }

  /** Throws the first fault of these causes; without any, of all. */
  expectNone(causes: Iterable<object> = this.#known.keys()): void {
    if (this.#known.size === 0) return;
    for (const cause of causes) {
      const fault = this.#known.get(cause);
      if (fault) throw fault;
    }
  }

  /** The cause is gone, and its fault with it. */
  forget(cause: object): void {
    this.#known.delete(cause);
    this.#gone.add(cause);
  }

  #collect(cause: object, place: string, kind: (typeof KINDS)[number], heldBytes: number): void {
    const answer = this.device.popErrorScope().then(
      (error) => {
        if (!error || this.#known.has(cause) || this.#gone.has(cause)) return;
        const expected = kind === 'out-of-memory' ? 'memory for it' : 'no error';
        const text = `${place}: expected ${expected}, got ${kind}: ${error.message}${REMEDIES[kind]}`;
        this.#known.set(
          cause,
          kind === 'out-of-memory' ? new OutOfMemoryError(text, heldBytes) : new DeviceError(text),
        );
      },
      () => undefined, // the device is lost, which is told elsewhere
    );
    this.#pending.add(answer);
    void answer.then(() => this.#pending.delete(answer));
  }
}
