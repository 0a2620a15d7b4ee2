/**
 * Compiled kernels, by key: a specialization is compiled once, as long as it is among the last `MOST` used or a live
 * program holds it.
 */

import type { Counters } from './counters.ts';
import type { Dtype } from './dtype.ts';
import { DeviceError } from './errors.ts';
import { type Constants, type Kernel, kernelKey, source } from './kernel.ts';

const COMPUTE_STAGE = 4;
/** Several times what a model of any family needs for a run: some 60. */
const MOST = 256;

/** A kernel with its constants and storage fixed; the pipeline is there once `ready` has settled. */
export interface CompiledKernel {
  readonly key: string;
  readonly bindingNames: readonly string[];
  readonly layout: GPUBindGroupLayout;
  readonly ready: Promise<void>;
  pipeline: GPUComputePipeline | undefined;
  /** Live programs that hold it. */
  readonly users: Set<object>;
}

/** How far the compiler is with what it was asked for so far; the first run on a driver waits for it. */
export interface CompileProgress {
  readonly compiled: number;
  readonly asked: number;
  /** The kernel that was compiled last, with its constants. */
  readonly kernel: string;
}

export class Pipelines {
  /** The one used longest ago first. */
  readonly #known = new Map<string, CompiledKernel>();
  #compiled = 0;
  /** Told after each kernel. */
  onCompile: ((progress: CompileProgress) => void) | undefined;

  constructor(
    private readonly device: GPUDevice,
    private readonly counters: Counters,
  ) {}

  /** Starts to compile at once; several compile side by side. */
  compile(kernel: Kernel, dtypes: Readonly<Record<string, Dtype>>, constants: Constants): CompiledKernel {
    const key = kernelKey(kernel, dtypes, constants);
    const known = this.#known.get(key);
    if (known) {
      this.#known.delete(key);
      this.#known.set(key, known);
      return known;
    }
    const bindingNames = Object.keys(kernel.bindings).filter((name) => name in dtypes);
    const layout = this.device.createBindGroupLayout({
      label: key,
      entries: bindingNames.map((name, binding) => ({
        binding,
        visibility: COMPUTE_STAGE,
        buffer: { type: bufferType(kernel.bindings[name]!) },
      })),
    });
    const fresh: { -readonly [K in keyof CompiledKernel]: CompiledKernel[K] } = {
      key,
      bindingNames,
      layout,
      pipeline: undefined,
      ready: Promise.resolve(),
      users: new Set(),
    };
    fresh.ready = this.#compile(key, source(kernel, dtypes, constants), layout).then((pipeline) => {
      fresh.pipeline = pipeline;
      this.onCompile?.({ compiled: ++this.#compiled, asked: this.counters.pipelines, kernel: key });
    });
    fresh.ready.catch(() => {
      if (this.#known.get(key) === fresh) this.#known.delete(key);
    });
    this.#known.set(key, fresh);
    this.#forgetOldest(fresh);
    return fresh;
  }

  /** What the compiler has against a kernel, by line of its code. Makes no pipeline. */
  async faults(
    kernel: Kernel,
    dtypes: Readonly<Record<string, Dtype>>,
    constants: Constants,
  ): Promise<{
    readonly code: string;
    readonly faults: readonly { readonly line: number; readonly message: string }[];
  }> {
    const code = source(kernel, dtypes, constants);
    this.device.pushErrorScope('validation');
    const module = this.device.createShaderModule({ code, label: kernel.name });
    const [info] = await Promise.all([module.getCompilationInfo(), this.device.popErrorScope()]);
    const errors = info.messages.filter(({ type }) => type === 'error');
    return { code, faults: errors.map(({ lineNum, message }) => ({ line: lineNum, message })) };
  }

  /** Compiled kernels that are kept. */
  get count(): number {
    return this.#known.size;
  }

  #forgetOldest(fresh: CompiledKernel): void {
    for (const [key, compiled] of this.#known) {
      if (this.#known.size <= MOST) return;
      if (compiled.users.size === 0 && compiled !== fresh) this.#known.delete(key);
    }
  }

  async #compile(key: string, code: string, layout: GPUBindGroupLayout): Promise<GPUComputePipeline> {
    this.counters.pipelines++;
    this.device.pushErrorScope('validation');
    const module = this.device.createShaderModule({ code, label: key });
    const scope = this.device.popErrorScope();
    const pipeline = this.device.createComputePipelineAsync({
      label: key,
      layout: this.device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: 'main' },
    });
    pipeline.catch(() => undefined);
    const fault = await scope;
    if (fault) throw new DeviceError(`${key}: expected the shader to compile, got ${fault.message}\n${numbered(code)}`);
    try {
      return await pipeline;
    } catch (error) {
      throw new DeviceError(`${key}: expected a pipeline, got ${(error as Error).message}`);
    }
  }
}

function bufferType(binding: string): GPUBufferBindingType {
  if (binding.startsWith('uniform')) return 'uniform';
  return binding.startsWith('read') ? 'read-only-storage' : 'storage';
}

function numbered(code: string): string {
  return code
    .split('\n')
    .map((line, i) => `${String(i + 1).padStart(4)}  ${line}`)
    .join('\n');
}
