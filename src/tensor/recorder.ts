/** From what kernels ask for to a program: dispatches are collected, then memory is planned for what they make. */

import { storedBytes } from './dtype.ts';
import { DeviceError, DisposedError } from './errors.ts';
import { bindingDtypes } from './kernel.ts';
import { type Region, virtualRegion } from './memory.ts';
import type { CompiledKernel } from './pipelines.ts';
import { shareBuffers } from './placement.ts';
import { type Encoded, Program, type ProgramHost } from './program.ts';
import { type Candidate, Tensor } from './tensor.ts';

interface Dispatch {
  readonly compiled: CompiledKernel;
  readonly tensors: Readonly<Record<string, Tensor>>;
  readonly workgroups: readonly number[];
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
    const region = virtualRegion(bytes, { owned: false });
    this.#regions.push(region);
    return region;
  }

  /** A region that holds `words` in every run. Equal ones are one. */
  fixed(words: Uint32Array<ArrayBuffer>): Region {
    const key = words.join(' ');
    const region = this.#fixed.get(key)?.region ?? virtualRegion(storedBytes('u32', words.length), { owned: false });
    this.#fixed.set(key, { region, words });
    return region;
  }

  /** Throws DeviceError for more workgroups than a dispatch has, DisposedError for tensors that are no more. */
  add({ kernel, tensors, constants, workgroups }: Omit<Candidate, 'name'>): void {
    const { device, pipelines } = this.runtime;
    const most = device.limits.maxComputeWorkgroupsPerDimension;
    if (workgroups.some((n) => n > most)) {
      throw new DeviceError(
        `${kernel.name}: expected at most ${most} workgroups in a dimension, got ${workgroups.join(' x ')}`,
      );
    }
    for (const { label, region } of Object.values(tensors)) {
      if (region.state === 'disposed') throw new DisposedError(`${label}: expected a tensor, but it was disposed`);
    }
    const compiled = pipelines.compile(kernel, bindingDtypes(kernel, tensors), constants);
    this.#dispatches.push({ compiled, tensors, workgroups });
  }

  /** Waits until all kernels are compiled. */
  async compiled(): Promise<void> {
    await Promise.all(this.#dispatches.map(({ compiled }) => compiled.ready));
  }

  /** Takes the memory and binds it. A failure gives it all back. */
  finish<T>(result: T): Program<T> {
    const buffers: Region[] = [];
    try {
      this.#placeRegions(result, buffers);
      this.#fillFixed(buffers);
      const encoded = this.runtime.faults.guard(buffers, this.label, () =>
        this.#dispatches.map((dispatch) => this.#bind(dispatch)),
      );
      const tensors = this.#dispatches.flatMap(({ tensors }) => Object.values(tensors));
      return new Program(this.runtime, this.label, result, {
        encoded,
        used: new Set([...tensors, ...tensorsIn(result)].map(({ region }) => region)),
        regions: this.#regions,
        buffers,
      });
    } catch (error) {
      for (const buffer of buffers) this.runtime.memory.free(buffer);
      for (const cause of [buffers, ...this.#regions]) this.runtime.faults.forget(cause);
      throw error;
    }
  }

  #bind({ compiled, tensors, workgroups: [x = 1, y = 1, z = 1] }: Dispatch): Encoded {
    const { device, counters } = this.runtime;
    const { layout, bindingNames, key } = compiled;
    const entries = bindingNames.map((name, binding) => ({ binding, resource: { buffer: tensors[name]!.buffer } }));
    counters.bindGroups++;
    return { kernel: compiled, bindGroup: device.createBindGroup({ layout, entries, label: key }), x, y, z };
  }

  /** Gives every region a buffer, shared with those that are needed at other times. Fills `made`. */
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
    const mine = this.#regions.filter((region) => first.has(region));
    const { buffers, places } = shareBuffers(
      mine.map((region) => ({ bytes: region.bytes, first: first.get(region)!, last: last.get(region)! })),
    );
    const backings = buffers.map((bytes) => this.#make(bytes, made));
    for (const [i, region] of mine.entries()) {
      region.buffer = backings[places[i]!]!.buffer;
      region.state = 'live';
    }
  }

  #fillFixed(made: Region[]): void {
    for (const { region, words } of this.#fixed.values()) {
      const backing = this.#make(region.bytes, made);
      region.buffer = backing.buffer;
      region.state = 'live';
      this.#regions.push(region);
      this.runtime.upload(new Tensor(this.runtime, [words.length], 'u32', region, 'sizes'), 0, words);
    }
  }

  #make(bytes: number, made: Region[]): Region {
    const backing = virtualRegion(bytes, { owned: true });
    this.runtime.memory.allocate(backing, `${this.label}: scratch`);
    made.push(backing);
    return backing;
  }
}

function tensorsIn(value: unknown): readonly Tensor[] {
  if (value instanceof Tensor) return [value];
  if (Array.isArray(value)) return value.flatMap(tensorsIn);
  if (value !== null && typeof value === 'object') return Object.values(value).flatMap(tensorsIn);
  return [];
}

/** The programs of `recordAll`, by name. */
export type Recorded<Builds extends Readonly<Record<string, () => unknown>>> = {
  readonly [Name in keyof Builds]: Program<ReturnType<Builds[Name]>>;
};

export interface RecordOptions {
  /** Does not wait for the compiler: the program can run once it is `ready`. */
  readonly ahead?: boolean;
}

/** A program that is recorded and has no memory yet. */
export interface Draft {
  readonly label: string;
  readonly recorder: ProgramRecorder;
  readonly result: unknown;
}

/** Compiles all, unless they are `ahead` of it; then takes memory for all, or for none. */
export async function finishAll(
  host: ProgramHost,
  drafts: readonly Draft[],
  ahead: boolean,
): Promise<Record<string, Program<unknown>>> {
  const programs: Record<string, Program<unknown>> = {};
  try {
    if (!ahead) for (const { recorder } of drafts) await recorder.compiled();
    host.faults.check();
    for (const { label, recorder, result } of drafts) programs[label] = recorder.finish(result);
    await host.faults.reported();
    host.faults.check();
    for (const program of Object.values(programs)) program.expectNoFault();
    return programs;
  } catch (error) {
    for (const program of Object.values(programs)) program.dispose();
    throw error;
  }
}
