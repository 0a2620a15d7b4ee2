import { type Counters, newCounters } from './counters.ts';
import type { DriverKind } from './device/adapter.ts';
import { type Dtype, storedBytes } from './dtype.ts';
import { assert } from './errors.ts';
import { Faults } from './faults.ts';
import type { Constants, Kernel } from './kernel.ts';
import { Memory, type Region } from './memory.ts';
import { type OpenDevice, openDevice } from './open-device.ts';
import { checkOptions } from './options.ts';
import { Pipelines } from './pipelines.ts';
import type { Program, ProgramHost } from './program.ts';
import { ReadBack } from './read-back.ts';
import { finishAll, ProgramRecorder, type Recorded, type RecordOptions } from './recorder.ts';
import { checkTensor, RUNTIME_OPTIONS, type RuntimeOptions } from './runtime-options.ts';
import { count, describeShape, type Shape } from './shape.ts';
import { type Candidate, Tensor } from './tensor.ts';
import { type AdapterTraits, isOnCpu, traitsOf } from './traits.ts';
import { Tuning } from './tuning.ts';
import { WorkQueue } from './work-queue.ts';

export type { DriverKind, RuntimeOptions };

/**
 * An open device: the one owner of the `GPUDevice`, its buffers and its pipelines. Whoever opens it disposes of it.
 *
 * Work is recorded once (`record`) and replayed (`run`). Late errors of WebGPU are kept and thrown at the next edge
 * (`record`, `settled`, `read`) of who caused them; only a lost device is final.
 *
 * @example
 * using runtime = await Runtime.open();
 * console.log(runtime.description); // gpu: nvidia, ...
 */
export class Runtime implements ProgramHost {
  readonly counters: Counters = newCounters();
  readonly device: GPUDevice;
  readonly faults: Faults;
  readonly memory: Memory;
  readonly pipelines: Pipelines;
  readonly queue: WorkQueue;
  readonly traits: AdapterTraits;
  readonly tuning = new Tuning();
  #recorder: ProgramRecorder | undefined;

  private constructor(private readonly opened: OpenDevice) {
    this.device = opened.device;
    this.faults = new Faults(this.device);
    this.memory = new Memory(this.device, this.counters, this.faults, opened.maxBindingBytes);
    this.pipelines = new Pipelines(this.device, this.counters);
    this.traits = traitsOf(this.device, opened.kind);
    this.queue = new WorkQueue(this);
  }

  /**
   * Opens a device: the machine's GPU, else a software driver (see `findAdapter`).
   *
   * Throws DeviceError naming what was tried when there is no adapter.
   */
  static async open(given: RuntimeOptions = {}): Promise<Runtime> {
    const options = checkOptions(RUNTIME_OPTIONS, given);
    const runtime = new Runtime(await openDevice(options));
    runtime.pipelines.onCompile = options.onCompile;
    if (options.tuning !== 'priors') await runtime.tuning.recall(runtime.device.adapterInfo);
    return runtime;
  }

  get kind(): DriverKind {
    return this.opened.kind;
  }

  /** One line: which adapter and driver. */
  get description(): string {
    return this.opened.description;
  }

  /** Bytes that one binding may have. */
  get maxBindingBytes(): number {
    return this.opened.maxBindingBytes;
  }

  /** True for drivers that run shaders on the CPU: kernels are then tiled for few loads and few barriers. */
  get isSoftware(): boolean {
    return isOnCpu(this);
  }

  /** Bytes of all buffers alive, and the most there have been. */
  get liveBytes(): number {
    return this.memory.liveBytes;
  }
  get peakBytes(): number {
    return this.memory.peakBytes;
  }

  /** A tensor in memory of its own (zeros, or `values`); outside recordings only. */
  tensor(
    shape: Shape,
    dtype: Dtype,
    label: string,
    values?: Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>,
  ): Tensor {
    checkTensor(shape, dtype, label, values);
    const tensor = this.deferred(shape, dtype, label);
    if (values) tensor.write(values);
    else tensor.buffer; // takes its memory
    return tensor;
  }

  /** A tensor of zeros that takes its memory when it is first used: when a program that reads or writes it is recorded. */
  deferred(shape: Shape, dtype: Dtype, label: string): Tensor {
    this.check();
    const bytes = storedBytes(dtype, count(shape));
    this.memory.expectFits(`${label} ${describeShape(shape)} ${dtype}`, bytes);
    return new Tensor(this, shape, dtype, this.memory.virtual(bytes), label);
  }

  /** A tensor that the program being recorded makes and owns. */
  result(shape: Shape, dtype: Dtype, label: string): Tensor {
    assert(this.#recorder, `${label}: kernels run inside runtime.record`);
    const bytes = storedBytes(dtype, count(shape));
    this.memory.expectFits(`${label} ${describeShape(shape)} ${dtype}`, bytes);
    return new Tensor(this, shape, dtype, this.#recorder.region(bytes), label);
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
    this.#recorder.add({ kernel, tensors, constants, workgroups });
  }

  /** Adds one dispatch, of the candidate that `tuning` chooses. */
  dispatchBest(problem: string, candidates: readonly Candidate[]): void {
    const { kernel, tensors, constants, workgroups } = this.tuning.choose(problem, candidates);
    this.dispatch(kernel, tensors, constants, workgroups);
  }

  /**
   * Records what `build` dispatches, without running it. Tensors that `build` returns stay readable until the program is
   * disposed; all others made inside share memory. Throws DeviceError where a limit or the memory does not hold it.
   */
  async record<T>(label: string, build: () => T, options: RecordOptions = {}): Promise<Program<T>> {
    return (await this.recordAll({ [label]: build }, options))[label]!;
  }

  /**
   * Records several programs, by name, all or none: every limit is checked before any of them takes memory, and with it
   * the deferred tensors that they use.
   */
  async recordAll<Builds extends Readonly<Record<string, () => unknown>>>(
    builds: Builds,
    { ahead = false }: RecordOptions = {},
  ): Promise<Recorded<Builds>> {
    this.check();
    const drafts = Object.entries(builds).map(([label, build]) => {
      assert(!this.#recorder, `${label}: a recording is open already`);
      const recorder = new ProgramRecorder(this, label);
      this.#recorder = recorder;
      try {
        return { label, recorder, result: build() };
      } finally {
        this.#recorder = undefined;
      }
    });
    return (await finishAll(this, drafts, ahead)) as Recorded<Builds>;
  }

  /** Runs programs in order: one encoder, one compute pass, one submit. What goes wrong is the first one's fault. */
  run(...programs: readonly Program<unknown>[]): void {
    this.runAndCopy(programs, []);
  }

  /** The same, and fills read-backs after the pass. */
  runAndCopy(programs: readonly Program<unknown>[], copies: readonly ReadBack[]): void {
    this.check();
    const [first] = programs;
    if (!first) return;
    this.queue.submit(first, first.label, (encoder) => {
      const pass = encoder.beginComputePass();
      for (const program of programs) this.counters.dispatches += program.encode(pass);
      pass.end();
      for (const copy of copies) copy.encode(encoder);
    });
    this.counters.passes++;
    this.queue.submitted(programs);
  }

  /**
   * Waits until all submitted work is done. Throws what has gone wrong on the device with these programs; without any, with
   * whatever is not disposed of yet.
   */
  async settled(...programs: readonly Program<unknown>[]): Promise<void> {
    this.check();
    await this.queue.done();
    for (const program of programs) program.expectNoFault();
    if (programs.length === 0) this.faults.expectNone();
  }

  /** Copies bytes into a tensor; ordered with the submits around it. */
  upload(tensor: Tensor, offset: number, data: ArrayBufferView<ArrayBuffer>): void {
    const { buffer, region, label } = tensor;
    this.faults.guard(region, label, () =>
      this.device.queue.writeBuffer(buffer, offset, data.buffer, data.byteOffset, data.byteLength),
    );
  }

  /** Copies bytes out of a tensor, after all work submitted before. Throws what has gone wrong with that work. */
  async download(tensor: Tensor, bytes: number): Promise<ArrayBuffer> {
    this.check();
    using copy = new ReadBack(this, tensor, bytes);
    this.queue.submit(tensor.region, tensor.label, (encoder) => copy.encode(encoder));
    return await copy.read();
  }

  allocate(region: Region, label: string): GPUBuffer {
    this.check();
    return this.memory.allocate(region, label);
  }

  free(region: Region): void {
    this.memory.free(region);
  }

  /** Throws DeviceError once the device is lost, or DisposedError. */
  check(): void {
    this.faults.check();
  }

  /** Gives the device back, unless the caller brought it. Idempotent. */
  dispose(): void {
    if (this.faults.close() && this.opened.isOurs) this.device.destroy();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
