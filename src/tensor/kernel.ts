/**
 * A kernel: WGSL under a prelude of constants.
 *
 * The prelude declares the bindings and writes each constant as `const NAME = value;`, so one body serves every size.
 * A constant is a number that the model's configuration determines, such as a width. Numbers that change from step to step
 * come in through a uniform binding, and so do image sizes, for each of which a pipeline would take longer to compile than
 * to run. Storage of all kinds is read the same way: a binding `vec4` gets a function `NAME_at(index) -> vec4f`, which loads
 * f32, or unpacks f16 or the four whole numbers of 8 bits of a u32, and a writable one also `NAME_put(index, vec4f)`, which
 * rounds.
 */

import type { Dtype } from './dtype.ts';
import { ShapeError } from './errors.ts';

export type Constant = number | boolean;
export type Constants = Readonly<Record<string, Constant>>;

/**
 * How a kernel sees a tensor: `read` or `write` (which may also read), or `uniform`; then the element: a WGSL scalar or
 * vector, or `vec4`: four neighboring numbers of any storage, or `vec8`: eight floats, as a pair of `vec4f`.
 */
export type Binding =
  | `${'read' | 'write'} ${'f32' | 'u32' | 'vec2f' | 'vec4f' | 'vec4' | 'vec8'}`
  | 'uniform Step'
  | 'uniform Sizes';

export interface Kernel {
  readonly name: string;
  readonly bindings: Readonly<Record<string, Binding>>;
  /** The WGSL after the prelude. A function of the constants where tiles must be unrolled. */
  readonly body: (constants: Constants) => string;
  /** Extensions of WGSL that the body uses; the device must have their features. */
  readonly enables?: readonly string[];
}

export function defineKernel(
  name: string,
  bindings: Readonly<Record<string, Binding>>,
  body: string | ((constants: Constants) => string),
): Kernel {
  return { name, bindings, body: typeof body === 'string' ? () => body : body };
}

/** A kernel whose threads talk within their subgroup: for devices with the feature `subgroups`. */
export function subgroupKernel(
  name: string,
  bindings: Readonly<Record<string, Binding>>,
  body: (constants: Constants) => string,
): Kernel {
  return { ...defineKernel(name, bindings, body), enables: ['subgroups'] };
}

/** Marks WGSL in a template literal for editors; otherwise plain concatenation. */
export function wgsl(parts: TemplateStringsArray, ...values: readonly (string | number)[]): string {
  return String.raw({ raw: parts }, ...values);
}

/** `n` copies of a piece of WGSL, for register tiles whose arrays drivers would keep in memory. */
export function unroll(n: number, piece: (i: number) => string): string {
  return Array.from({ length: n }, (_, i) => piece(i)).join('\n');
}

/** Readable key of a compiled kernel: its name, then bindings' storage and constants in the order of the alphabet. */
export function kernelKey(kernel: Kernel, dtypes: Readonly<Record<string, Dtype>>, constants: Constants): string {
  const parts = [
    ...Object.entries(dtypes).map(([name, dtype]) => `${name}:${dtype}`),
    ...Object.keys(constants)
      .sort()
      .map((name) => `${name}=${constants[name]}`),
  ];
  return `${kernel.name} ${parts.join(' ')}`;
}

/** The tensors' dtypes by binding name. Throws ShapeError where a binding cannot hold its tensor, or lacks one. */
export function bindingDtypes(
  kernel: Kernel,
  tensors: Readonly<Record<string, { readonly dtype: Dtype }>>,
): Record<string, Dtype> {
  const dtypes: Record<string, Dtype> = {};
  for (const name of Object.keys(tensors)) {
    if (!kernel.bindings[name]) throw new ShapeError(`${kernel.name}: expected no tensor named ${name}`);
  }
  for (const [name, binding] of Object.entries(kernel.bindings)) {
    const tensor = tensors[name];
    if (!tensor) continue; // the body leaves an absent binding out by a constant
    const [, element = ''] = binding.split(' ');
    const fits =
      element === 'vec4' ||
      (element === 'vec8'
        ? tensor.dtype !== 'u32'
        : (element === 'u32' || binding.startsWith('uniform')) === (tensor.dtype === 'u32') && tensor.dtype !== 'f16');
    if (!fits) throw new ShapeError(`${kernel.name}: ${name}: expected ${element}, got a tensor of ${tensor.dtype}`);
    dtypes[name] = tensor.dtype;
  }
  return dtypes;
}

/** The whole shader of a compiled kernel. */
export function source(kernel: Kernel, dtypes: Readonly<Record<string, Dtype>>, constants: Constants): string {
  const lines = [`// ${kernelKey(kernel, dtypes, constants)}`];
  for (const extension of kernel.enables ?? []) lines.push(`enable ${extension};`);
  for (const [name, value] of Object.entries(constants)) lines.push(`const ${name} = ${value};`);
  const names = Object.keys(kernel.bindings).filter((name) => name in dtypes);
  if (names.some((name) => kernel.bindings[name]?.endsWith('vec8'))) lines.push(VEC8);
  for (const [index, name] of names.entries()) {
    lines.push(declare(index, name, kernel.bindings[name]!, dtypes[name]!));
  }
  lines.push(kernel.body(constants));
  return lines.join('\n');
}

const VEC8 = 'struct Vec8 { low: vec4f, high: vec4f }';

/** What four numbers lie in, and in WGSL the numbers of such a q, and what holds numbers v. */
const VEC4: Readonly<Record<Dtype, readonly [element: string, loaded: string, rounded: string]>> = {
  f32: ['vec4f', 'q', 'v'],
  f16: [
    'vec2u',
    'vec4f(unpack2x16float(q.x), unpack2x16float(q.y))',
    'vec2u(pack2x16float(v.xy), pack2x16float(v.zw))',
  ],
  u32: ['u32', 'vec4f(vec4i(vec4u(q) << vec4u(24, 16, 8, 0)) >> vec4u(24))', 'pack4x8snorm(v / 127)'],
};

function declare(index: number, name: string, binding: Binding, dtype: Dtype): string {
  const [access, element] = binding.split(' ') as [string, string];
  if (access === 'uniform') return `@group(0) @binding(${index}) var<uniform> ${name}: ${element};`;
  const half = dtype === 'f16';
  const [vec4, loaded, rounded] = VEC4[dtype];
  const stored = element === 'vec4' ? vec4 : element === 'vec8' ? (half ? 'vec4u' : 'vec4f') : element;
  const space = access === 'read' ? 'storage, read' : 'storage, read_write';
  const lines = [`@group(0) @binding(${index}) var<${space}> ${name}: array<${stored}>;`];
  if (element === 'vec4') {
    lines.push(`fn ${name}_at(i: u32) -> vec4f { let q = ${name}[i]; return ${loaded}; }`);
    if (access === 'write') lines.push(`fn ${name}_put(i: u32, v: vec4f) { ${name}[i] = ${rounded}; }`);
  }
  if (element === 'vec8') {
    const load = half
      ? `let o = ${name}[i]; return Vec8(${unpack('o.x', 'o.y')}, ${unpack('o.z', 'o.w')});`
      : `return Vec8(${name}[2u * i], ${name}[2u * i + 1u]);`;
    lines.push(`fn ${name}_at(i: u32) -> Vec8 { ${load} }`);
  }
  return lines.join('\n');
}

function unpack(low: string, high: string): string {
  return `vec4f(unpack2x16float(${low}), unpack2x16float(${high}))`;
}
