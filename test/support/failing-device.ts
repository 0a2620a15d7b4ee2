/** A device whose memory can be made to fail, and that can be lost. */

export interface FailingDevice {
  readonly device: GPUDevice;
  /** After `buffers` more buffers every one fails: it is refused late, as WebGPU does, or at once. */
  failNext(buffers: number, how: 'out-of-memory' | 'throws'): void;
  /** No buffer fails any more. */
  heal(): void;
  /** Reported as lost, once and for all. */
  lose(): void;
}

/** Stands before a real device, which goes on working. */
export function failingDevice(real: GPUDevice): FailingDevice {
  let left = Number.POSITIVE_INFINITY;
  let how: 'out-of-memory' | 'throws' = 'out-of-memory';
  /** The scopes that are open, and what the innermost of its kind caught. */
  const scopes: { readonly filter: GPUErrorFilter; error: GPUError | undefined }[] = [];
  const createBuffer = (descriptor: GPUBufferDescriptor): GPUBuffer => {
    if (left-- > 0) return real.createBuffer(descriptor);
    if (how === 'throws') throw new RangeError('no memory');
    const scope = [...scopes].reverse().find(({ filter }) => filter === 'out-of-memory');
    if (scope) scope.error ??= { message: 'no memory' } as GPUError;
    return real.createBuffer({ ...descriptor, size: 4 }); // an invalid buffer, nearly: what uses it goes wrong
  };
  const pushErrorScope = (filter: GPUErrorFilter): undefined => {
    scopes.push({ filter, error: undefined });
    return real.pushErrorScope(filter);
  };
  const popErrorScope = async (): Promise<GPUError | null> => {
    const own = scopes.pop();
    const error = await real.popErrorScope();
    return own?.error ?? error;
  };
  let lose = () => {};
  const loss = new Promise<GPUDeviceLostInfo>((resolve) => {
    lose = () => resolve({ reason: 'unknown', message: 'a test took it' } as GPUDeviceLostInfo);
  });
  const lost = Promise.race([loss, real.lost]);
  const replaced: Readonly<Record<string, unknown>> = { createBuffer, pushErrorScope, popErrorScope, lost };
  const device = new Proxy(real, {
    get: (target, name) => {
      if (typeof name === 'string' && name in replaced) return replaced[name];
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  return {
    device,
    lose: () => lose(),
    failNext: (buffers, kind) => {
      left = buffers;
      how = kind;
    },
    heal: () => {
      left = Number.POSITIVE_INFINITY;
    },
  };
}
