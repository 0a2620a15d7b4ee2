/** What `Runtime.open` and `runtime.tensor` take. */

import { callback, either, having, instance, listOf, oneOf, text, whole } from './checks.ts';
import { type AdapterChoice, DRIVERS } from './device/adapter.ts';
import type { Dtype } from './dtype.ts';
import { ShapeError } from './errors.ts';
import { LIMITS } from './limits.ts';
import { type Check, checkValue, type OptionTable } from './options.ts';
import type { CompileProgress } from './pipelines.ts';
import { count, type Shape } from './shape.ts';

/** Which device is opened, and what is told about it. */
export interface RuntimeOptions extends AdapterChoice {
  /** Use this device; the caller keeps it and `dispose` leaves it alone. */
  readonly device?: GPUDevice;
  /** Highest number of bytes in one binding, below what the adapter allows; larger weights are split. For tests. */
  readonly maxBindingBytes?: number;
  /**
   * Which kernels are taken where several fit: the fastest of an earlier `tune` on this adapter, or what is likeliest
   * anywhere. Results are the same. @defaultValue 'remembered'
   */
  readonly tuning?: 'remembered' | 'priors';
  /** Called after each shader that was compiled. Without the driver's cache of shaders that is most of a first run. */
  readonly onCompile?: (progress: CompileProgress) => void;
}

export const RUNTIME_OPTIONS: OptionTable<RuntimeOptions> = {
  place: 'Runtime.open',
  options: {
    driver: oneOf(...DRIVERS),
    dawnToggles: listOf('a list of names of Dawn toggles', text),
    device: having<GPUDevice>('a GPUDevice', 'createBuffer', 'createCommandEncoder'),
    maxBindingBytes: whole(16),
    tuning: oneOf('remembered', 'priors'),
    onCompile: callback(),
  },
  renamed: { features: 'dawnToggles' },
};

export const TENSOR_SHAPE: Check<Shape> = {
  ...listOf(`at most ${LIMITS.rank.most} sizes, whole numbers`, whole(0)),
  fits: (value): value is Shape =>
    Array.isArray(value) && value.length <= LIMITS.rank.most && Array.from(value).every((size) => whole(0).fits(size)),
};

export const TENSOR_DTYPE = oneOf<Dtype>('f32', 'f16', 'u32');

const VALUES = either(
  instance<Float32Array>('a Float32Array', () => Float32Array),
  instance<Uint32Array>('a Uint32Array', () => Uint32Array),
);

/** What `runtime.tensor` is given, before anything is allocated. Throws OptionError, and ShapeError for values of another number. */
export function checkTensor(
  shape: Shape,
  dtype: Dtype,
  label: string,
  values: Float32Array | Uint32Array | undefined,
): void {
  checkValue('tensor: shape', TENSOR_SHAPE, shape);
  checkValue('tensor: dtype', TENSOR_DTYPE, dtype);
  checkValue('tensor: label', text, label);
  if (values === undefined) return;
  checkValue('tensor: values', VALUES, values);
  if (values.length !== count(shape))
    throw new ShapeError(`${label}: expected ${count(shape)} values, got ${values.length}`);
}
