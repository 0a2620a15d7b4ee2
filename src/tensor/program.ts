/** A recorded list of dispatches: pipelines, bind groups and memory are made once, then it is only re-encoded. */

import type { Counters } from './counters.ts';
import { storedBytes } from './dtype.ts';
import { assert, DisposedError } from './errors.ts';
import type { CompiledKernel } from './pipelines.ts';
import { type Region, Tensor, type TensorHost } from './tensor.ts';

interface Dispatch {
  readonly compiled: CompiledKernel;
  readonly tensors: Readonly<Record<string, Tensor>>;
  readonly workgroups: readonly number[];
}

interface Encoded {
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
  readonly x: number;
  readonly y: number;
  readonly z: number;
}

/** What a program asks of the runtime that records and runs it. */
export interface ProgramHost extends TensorHost {
  readonly counters: Counters;
  allocate(region: Region, label: string): GPUBuffer;
  run(...programs: readonly Program<unknown>[]): void;
}

export class Program<T = unknown> {
  /** Milliseconds of one run, as the runtime has seen it; 0 before the first wait. */
  averageMs = 0;
  #disposed = false;

  constructor(
    private readonly runtime: ProgramHost,
    readonly label: string,
    /** What the recorded function returned. */
    readonly result: T,
    private readonly encoded: readonly Encoded[],
    private readonly keys: readonly string[],
    private readonly regions: readonly Region[],
    private readonly buffers: readonly Region[],
  ) {}

  /** Number of dispatches of one run. */
  get dispatches(): number {
    return this.encoded.length;
  }

  /** Bytes of memory for everything made inside the recording. */
  get scratchBytes(): number {
    return this.buffers.reduce((sum, region) => sum + region.bytes, 0);
  }

  /** Runs once: one submit. `runtime.run` runs several programs in one. */
  run(): void {
    this.runtime.run(this);
  }

  /** Adds the dispatches to an open pass; returns how many. */
  encode(pass: GPUComputePassEncoder): number {
    if (this.#disposed) throw new DisposedError(`${this.label}: expected a program, but it was disposed`);
    let pipeline: GPUComputePipeline | undefined;
    for (const step of this.encoded) {
      if (step.pipeline !== pipeline) pass.setPipeline(step.pipeline);
      pipeline = step.pipeline;
      pass.setBindGroup(0, step.bindGroup);
      pass.dispatchWorkgroups(step.x, step.y, step.z);
    }
    return this.encoded.length;
  }

  /** One line a dispatch: the kernel's key and its workgroups. */
  listing(): readonly string[] {
    return this.encoded.map(({ x, y, z }, i) => `${this.keys[i]} @ ${x} x ${y} x ${z}`);
  }

  /** Frees the memory of everything made inside the recording. Idempotent. */
  dispose(): void {
    this.#disposed = true;
    for (const region of this.buffers) this.runtime.free(region);
    for (const region of this.regions) region.state = 'disposed';
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Collects dispatches, then plans memory: a region lives from its first use to its last. */
export class ProgramRecorder {
  readonly #dispatches: Dispatch[] = [];
  readonly #regions: Region[] = [];
  readonly #fixed = new Map<string, { readonly region: Region; readonly words: Uint32Array<ArrayBuffer> }>();

  constructor(
    private readonly runtime: ProgramHost,
    private readonly label: string,
  ) {}

  region(bytes: number): Region {
    const region: Region = { bytes, buffer: undefined, state: 'virtual', owned: false };
    this.#regions.push(region);
    return region;
  }

  /** A region that holds `words` in every run. Equal ones are one. */
  fixed(words: Uint32Array<ArrayBuffer>): Region {
    const key = words.join(' ');
    const region = this.#fixed.get(key)?.region ?? {
      bytes: storedBytes('u32', words.length),
      buffer: undefined,
      state: 'virtual',
      owned: false,
    };
    this.#fixed.set(key, { region, words });
    return region;
  }

  add(dispatch: Dispatch): void {
    this.#dispatches.push(dispatch);
  }

  async finish<T>(result: T): Promise<Program<T>> {
    await Promise.all(this.#dispatches.map(({ compiled }) => compiled.ready));
    const buffers: Region[] = [];
    try {
      this.#placeRegions(result, buffers);
      this.#fillFixed(buffers);
    } catch (error) {
      for (const buffer of buffers) this.runtime.free(buffer);
      throw error;
    }
    const { device, counters } = this.runtime;
    const encoded = this.#dispatches.map(({ compiled, tensors, workgroups: [x = 1, y = 1, z = 1] }) => {
      counters.bindGroups++;
      const { pipeline, layout, bindingNames, key } = compiled;
      assert(pipeline, `${key}: not compiled`);
      const entries = bindingNames.map((name, binding) => ({ binding, resource: { buffer: tensors[name]!.buffer } }));
      return { pipeline, bindGroup: device.createBindGroup({ layout, entries, label: key }), x, y, z };
    });
    const keys = this.#dispatches.map(({ compiled }) => compiled.key);
    return new Program(this.runtime, this.label, result, encoded, keys, this.#regions, buffers);
  }

  /** Gives every region a buffer, reusing one as soon as its last reader has been passed. Fills `made`. */
  #placeRegions(result: unknown, made: Region[]): void {
    const first = new Map<Region, number>();
    const last = new Map<Region, number>();
    for (const [at, { tensors }] of this.#dispatches.entries()) {
      for (const { region } of Object.values(tensors)) {
        if (!first.has(region)) first.set(region, at);
        last.set(region, at);
      }
    }
    for (const tensor of tensorsIn(result)) last.set(tensor.region, Number.POSITIVE_INFINITY);
    const idle: Region[] = [];
    const busy: { readonly backing: Region; readonly until: number }[] = [];
    const mine = this.#regions.filter((region) => first.has(region));
    mine.sort((a, b) => first.get(a)! - first.get(b)!);
    for (const region of mine) {
      const start = first.get(region)!;
      for (let i = busy.length - 1; i >= 0; i--) {
        if (busy[i]!.until < start) idle.push(...busy.splice(i, 1).map(({ backing }) => backing));
      }
      const backing = bestFit(idle, region.bytes) ?? this.#make(region.bytes, made);
      region.buffer = backing.buffer;
      region.state = 'live';
      busy.push({ backing, until: last.get(region)! });
    }
  }

  #fillFixed(made: Region[]): void {
    for (const { region, words } of this.#fixed.values()) {
      const backing = this.#make(region.bytes, made);
      region.buffer = backing.buffer;
      region.state = 'live';
      this.runtime.upload(backing.buffer!, 0, words); // just made
      this.#regions.push(region);
    }
  }

  #make(bytes: number, made: Region[]): Region {
    const backing: Region = { bytes, buffer: undefined, state: 'virtual', owned: true };
    this.runtime.allocate(backing, `${this.label}: scratch`);
    made.push(backing);
    return backing;
  }
}

/** Takes the smallest idle buffer that holds `bytes` and is not more than four times as large. */
function bestFit(idle: Region[], bytes: number): Region | undefined {
  let best = -1;
  for (const [i, { bytes: size }] of idle.entries()) {
    if (size >= bytes && size <= 4 * bytes && (best < 0 || size < idle[best]!.bytes)) best = i;
  }
  return best < 0 ? undefined : idle.splice(best, 1)[0];
}

function tensorsIn(value: unknown): readonly Tensor[] {
  if (value instanceof Tensor) return [value];
  if (Array.isArray(value)) return value.flatMap(tensorsIn);
  if (value !== null && typeof value === 'object') return Object.values(value).flatMap(tensorsIn);
  return [];
}
