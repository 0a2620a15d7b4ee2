import { findAdapter } from '#device';
import type { Counters } from './counters.ts';
import type { DriverKind } from './device/adapter.ts';
import { type Dtype, storedBytes } from './dtype.ts';
import { assert, DeviceError, DisposedError, RasterlineError } from './errors.ts';
import { bindingDtypes, type Constants, type Kernel } from './kernel.ts';
import { checkOptions } from './options.ts';
import { Pipelines } from './pipelines.ts';
import { type Program, type ProgramHost, ProgramRecorder } from './program.ts';
import { checkTensor, RUNTIME_OPTIONS, type RuntimeOptions } from './runtime-options.ts';
import { count, describeShape, type Shape } from './shape.ts';
import { type Candidate, type Region, Tensor } from './tensor.ts';
import { type AdapterTraits, traitsOf, WANTED_FEATURES, WANTED_LIMITS } from './traits.ts';
import { Tuning } from './tuning.ts';
import { WorkClock } from './work-clock.ts';

/** GPUBufferUsage by number: the global does not exist in Node. */
const USAGE = { mapRead: 1, copySource: 4, copyTarget: 8, uniform: 64, storage: 128 } as const;
const MAP_READ = 1;

export type { DriverKind, RuntimeOptions };

/**
 * An open device: the one owner of the `GPUDevice`, its buffers and its pipelines. Whoever opens it disposes of it.
 *
 * Work is recorded once (`record`) and replayed (`run`). Late errors of WebGPU are kept and thrown at the next edge
 * (`settled`, `read`), so that none is lost in the console.
 *
 * @example
 * using runtime = await Runtime.open();
 * console.log(runtime.description); // gpu: nvidia, ...
 */
export class Runtime implements ProgramHost {
  readonly counters: Counters = {
    submits: 0,
    passes: 0,
    dispatches: 0,
    maps: 0,
    buffers: 0,
    bindGroups: 0,
    pipelines: 0,
  };
  /** Bytes of all buffers alive, and the most there have been. */
  liveBytes = 0;
  peakBytes = 0;
  readonly pipelines: Pipelines;
  readonly traits: AdapterTraits;
  readonly tuning = new Tuning();
  readonly #clock = new WorkClock();
  readonly #lost: Promise<never>;
  #failure: RasterlineError | undefined;
  #recorder: ProgramRecorder | undefined;
  #disposed = false;

  private constructor(
    readonly device: GPUDevice,
    readonly kind: DriverKind,
    /** One line: which adapter and driver. */
    readonly description: string,
    /** Bytes that one binding may have. */
    readonly maxBindingBytes: number,
    private readonly owned: { readonly keepAlive: unknown } | undefined,
  ) {
    this.pipelines = new Pipelines(device, this.counters);
    this.traits = traitsOf(device, kind);
    this.#lost = device.lost.then((info) => {
      if (!this.#disposed) {
        this.#failure ??= new DeviceError(
          `device: expected it to stay, lost it (${info.reason || 'unknown'}): ${info.message}; open a new Runtime and load again`,
        );
      }
      throw this.#failure ?? new DisposedError('device: used after Runtime.dispose()');
    });
    this.#lost.catch(() => undefined);
    device.onuncapturederror = (event) => {
      this.#failure ??= new DeviceError(`device: expected no error, got ${event.error.message}`);
    };
  }

  /**
   * Opens a device: the machine's GPU, else a software driver (see `findAdapter`).
   *
   * Throws DeviceError naming what was tried when there is no adapter.
   */
  static async open(given: RuntimeOptions = {}): Promise<Runtime> {
    const options = checkOptions(RUNTIME_OPTIONS, given);
    const limit = (device: GPUDevice) =>
      Math.min(
        device.limits.maxStorageBufferBindingSize,
        device.limits.maxBufferSize,
        options.maxBindingBytes ?? Number.POSITIVE_INFINITY,
      );
    if (options.device) {
      const runtime = new Runtime(options.device, 'caller', "the caller's device", limit(options.device), undefined);
      runtime.pipelines.onCompile = options.onCompile;
      return runtime;
    }
    const found = await findAdapter(options);
    const requiredLimits = Object.fromEntries(WANTED_LIMITS.map((name) => [name, found.adapter.limits[name]]));
    const requiredFeatures = WANTED_FEATURES.filter((name) => found.adapter.features.has(name));
    const device = await found.adapter.requestDevice({ requiredLimits, requiredFeatures });
    const runtime = new Runtime(device, found.kind, found.description, limit(device), found);
    runtime.pipelines.onCompile = options.onCompile;
    return runtime;
  }

  /** True for drivers that run shaders on the CPU: kernels are then tiled for few loads and few barriers. */
  get isSoftware(): boolean {
    return this.kind === 'lavapipe' || this.kind === 'swiftshader' || this.kind === 'null';
  }

  /** A tensor in memory of its own (zeros, or `values`); outside recordings only. */
  tensor(
    shape: Shape,
    dtype: Dtype,
    label: string,
    values?: Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>,
  ): Tensor {
    checkTensor(shape, dtype, label, values);
    const region: Region = {
      bytes: storedBytes(dtype, count(shape)),
      buffer: undefined,
      state: 'virtual',
      owned: true,
    };
    this.allocate(region, `${label} ${describeShape(shape)} ${dtype}`);
    const tensor = new Tensor(this, shape, dtype, region, label);
    if (values) tensor.write(values);
    return tensor;
  }

  /** A tensor that the program being recorded makes and owns. */
  result(shape: Shape, dtype: Dtype, label: string): Tensor {
    assert(this.#recorder, `${label}: kernels run inside runtime.record`);
    return new Tensor(this, shape, dtype, this.#recorder.region(storedBytes(dtype, count(shape))), label);
  }

  /**
   * A tensor [n] of the program being recorded that holds these whole numbers, for a binding `uniform Sizes`: what would
   * otherwise be constants, and a pipeline for every image size.
   */
  sizes(numbers: readonly number[]): Tensor {
    assert(this.#recorder, 'sizes: kernels run inside runtime.record');
    return new Tensor(this, [numbers.length], 'u32', this.#recorder.fixed(Uint32Array.from(numbers)), 'sizes');
  }

  /** Adds one dispatch to the program being recorded. `workgroups` is [x, y, z]. */
  dispatch(
    kernel: Kernel,
    tensors: Readonly<Record<string, Tensor>>,
    constants: Constants,
    workgroups: readonly number[],
  ): void {
    assert(this.#recorder, `${kernel.name}: kernels run inside runtime.record`);
    const most = this.device.limits.maxComputeWorkgroupsPerDimension;
    if (workgroups.some((n) => n > most)) {
      throw new DeviceError(
        `${kernel.name}: expected at most ${most} workgroups in a dimension, got ${workgroups.join(' x ')}`,
      );
    }
    const dtypes = bindingDtypes(kernel, tensors);
    this.#recorder.add({ compiled: this.pipelines.compile(kernel, dtypes, constants), tensors, workgroups });
  }

  /** Adds one dispatch, of the candidate that `tuning` chooses. */
  dispatchBest(problem: string, candidates: readonly Candidate[]): void {
    const { kernel, tensors, constants, workgroups } = this.tuning.choose(problem, candidates);
    this.dispatch(kernel, tensors, constants, workgroups);
  }

  /**
   * Records what `build` dispatches, without running it. Tensors that `build` returns stay readable until the program is
   * disposed; all others made inside share memory.
   */
  async record<T>(label: string, build: () => T): Promise<Program<T>> {
    this.check();
    assert(!this.#recorder, `${label}: a recording is open already`);
    const recorder = new ProgramRecorder(this, label);
    this.#recorder = recorder;
    let result: T;
    try {
      result = build();
    } finally {
      this.#recorder = undefined;
    }
    return recorder.finish(result);
  }

  /** Runs programs in order: one encoder, one compute pass, one submit. */
  run(...programs: readonly Program<unknown>[]): void {
    this.check();
    const encoder = this.device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (const program of programs) this.counters.dispatches += program.encode(pass);
    pass.end();
    this.device.queue.submit([encoder.finish()]);
    this.counters.passes++;
    this.counters.submits++;
    this.#clock.submitted(programs, performance.now());
  }

  /** Waits until all submitted work is done. Throws what went wrong on the device since the last edge. */
  async settled(): Promise<void> {
    this.check();
    await this.#finish(() => this.device.queue.onSubmittedWorkDone());
  }

  /** Awaits what ends with the submitted work, asking for it only when it is nearly due where that takes a core. */
  async #finish(asking: () => Promise<undefined>): Promise<void> {
    const sleepMs = this.isSoftware ? this.#clock.sleepMs(performance.now()) : 0;
    if (sleepMs > 0) await Promise.race([new Promise((wake) => setTimeout(wake, sleepMs)), this.#lost]);
    this.check();
    await Promise.race([asking(), this.#lost]);
    this.#clock.done(performance.now());
    this.check();
  }

  /** Copies bytes into a buffer; ordered with the submits around it. */
  upload(buffer: GPUBuffer, offset: number, data: ArrayBufferView<ArrayBuffer>): void {
    this.device.queue.writeBuffer(buffer, offset, data.buffer, data.byteOffset, data.byteLength);
  }

  /** Copies bytes out of a buffer, after all work submitted before. */
  async download(buffer: GPUBuffer, bytes: number): Promise<ArrayBuffer> {
    this.check();
    const region: Region = { bytes, buffer: undefined, state: 'virtual', owned: true };
    const staging = this.allocate(region, 'read-back', USAGE.mapRead | USAGE.copyTarget);
    try {
      const encoder = this.device.createCommandEncoder();
      encoder.copyBufferToBuffer(buffer, 0, staging, 0, bytes);
      this.device.queue.submit([encoder.finish()]);
      this.counters.submits++;
      this.counters.maps++;
      await this.#finish(() => staging.mapAsync(MAP_READ));
      return staging.getMappedRange().slice(0);
    } catch (error) {
      if (error instanceof RasterlineError) throw error;
      throw this.#failure ?? new DeviceError(`read: expected to map ${bytes} bytes, got ${(error as Error).message}`);
    } finally {
      this.free(region);
    }
  }

  /** Gives a region a buffer. Throws DeviceError for more bytes than a binding may have. */
  allocate(
    region: Region,
    label: string,
    usage: number = USAGE.storage | USAGE.uniform | USAGE.copySource | USAGE.copyTarget,
  ): GPUBuffer {
    this.check();
    if (region.bytes > this.maxBindingBytes) {
      throw new DeviceError(
        `${label}: expected at most ${this.maxBindingBytes} bytes in one buffer, got ${region.bytes}; use a smaller batch or image, or f16`,
      );
    }
    const buffer = this.device.createBuffer({ size: region.bytes, usage, label });
    region.buffer = buffer;
    region.state = 'live';
    this.counters.buffers++;
    this.liveBytes += region.bytes;
    this.peakBytes = Math.max(this.peakBytes, this.liveBytes);
    return buffer;
  }

  /** Takes a region's buffer back. Idempotent. */
  free(region: Region): void {
    if (region.state === 'live') {
      region.buffer?.destroy();
      this.liveBytes -= region.bytes;
    }
    region.buffer = undefined;
    region.state = 'disposed';
  }

  /** Throws what has gone wrong so far, or DisposedError. */
  check(): void {
    if (this.#disposed) throw new DisposedError('runtime: expected an open one, but it was disposed');
    if (this.#failure) throw this.#failure;
  }

  /** Gives the device back, unless the caller brought it. Idempotent. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    if (this.owned) this.device.destroy();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
