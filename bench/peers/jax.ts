/** jax-js on the same Dawn as ours. Its arrays are used up by a call: `ref` keeps them. */

import type { Contender } from './contender.ts';
import { LAYER, random } from './sizes.ts';

interface JaxArray {
  readonly ref: JaxArray;
  reshape(shape: readonly number[]): JaxArray;
  add(other: JaxArray | number): JaxArray;
  mul(other: JaxArray | number): JaxArray;
  blockUntilReady(): Promise<JaxArray>;
  dispose(): void;
}

interface Jax {
  init(device: string): Promise<readonly string[]>;
  defaultDevice(device: string): void;
  jit<Arguments extends unknown[]>(f: (...given: Arguments) => JaxArray): (...given: Arguments) => JaxArray;
  readonly numpy: {
    array(values: Float32Array): JaxArray;
    matmul(a: JaxArray, b: JaxArray): JaxArray;
    mean(x: JaxArray, axis: number, options: { readonly keepdims: boolean }): JaxArray;
    sqrt(x: JaxArray): JaxArray;
    reciprocal(x: JaxArray): JaxArray;
  };
  readonly nn: { softmax(x: JaxArray, axis: number): JaxArray; silu(x: JaxArray): JaxArray };
}

const PACKAGE: string = '@jax-js/jax';
let opened: Promise<Jax> | undefined;

/** It looks for a browser's `navigator.gpu`, and hands views of other buffers to `writeBuffer`, which Node's Dawn refuses. */
function open(gpu: GPU): Promise<Jax> {
  opened ??= (async () => {
    const value = { gpu, userAgent: 'node', hardwareConcurrency: 2, platform: 'linux' };
    Object.defineProperty(globalThis, 'navigator', { value, configurable: true });
    Object.assign(globalThis, { self: globalThis });
    const device = await (await gpu.requestAdapter())!.requestDevice();
    const queue = Object.getPrototypeOf(device.queue) as GPUQueue;
    const { writeBuffer } = queue;
    queue.writeBuffer = function (buffer, at, data, first = 0, count) {
      const isView = ArrayBuffer.isView(data);
      const size = isView ? (data as Float32Array).BYTES_PER_ELEMENT : 1;
      const length = (count ?? data.byteLength / size - first) * size;
      const offset = (isView ? data.byteOffset : 0) + first * size;
      const copy = new Uint8Array(length);
      copy.set(new Uint8Array(isView ? data.buffer : data, offset, length));
      return writeBuffer.call(this, buffer, at, copy);
    };
    const jax: Jax = await import(PACKAGE);
    const devices = await jax.init('webgpu');
    if (!devices.includes('webgpu')) throw new Error(`no WebGPU device, only ${devices.join(', ')}`);
    jax.defaultDevice('webgpu');
    return jax;
  })();
  return opened;
}

export async function jaxMatmul(
  gpu: GPU,
  [rows, outputs, inputs]: readonly [number, number, number],
): Promise<Contender> {
  const jax = await open(gpu);
  const { numpy: np } = jax;
  const [a, b] = [array(jax, [rows, inputs]), array(jax, [inputs, outputs])];
  const f = jax.jit((x: JaxArray, y: JaxArray) => np.matmul(x, y));
  return contender(() => f(a.ref, b.ref), [a, b]);
}

/** Without rotation, and the new key is not put into the cache: the peer is given less to do. */
export async function jaxLayer(gpu: GPU, cached: number, count: number): Promise<Contender> {
  const jax = await open(gpu);
  const { numpy: np, nn } = jax;
  const { width, heads, headDim, inner, rows } = LAYER;
  const keys = array(jax, [rows, heads, headDim, cached]);
  const values = array(jax, [rows, heads, cached, headDim]);
  const out = array(jax, [width, width]);
  const [gate, up, down] = [array(jax, [width, inner]), array(jax, [width, inner]), array(jax, [inner, width])];
  const q = array(jax, [width, width]);
  const norm = (x: JaxArray) => {
    const square = np.mean(x.ref.mul(x.ref), -1, { keepdims: true });
    return x.mul(np.reciprocal(np.sqrt(square.add(1e-5))));
  };
  const layer = jax.jit(
    (
      x: JaxArray,
      wq: JaxArray,
      wkv: JaxArray,
      wo: JaxArray,
      wg: JaxArray,
      wu: JaxArray,
      wd: JaxArray,
      k: JaxArray,
      v: JaxArray,
    ) => {
      const n = norm(x.ref);
      const query = np.matmul(n.ref, wq).reshape([rows, heads, 1, headDim]);
      // the product of keys and values must be made too, though what it gives is one more row of the cache
      const fresh = np.mean(np.matmul(n, wkv), -1, { keepdims: true }).mul(1e-9);
      const scores = nn.softmax(np.matmul(query, k).mul(headDim ** -0.5), -1);
      const attended = np.matmul(scores, v).reshape([rows, width]);
      const h = x.add(np.matmul(attended, wo)).add(fresh);
      const m = norm(h.ref);
      return h.add(np.matmul(nn.silu(np.matmul(m.ref, wg)).mul(np.matmul(m, wu)), wd));
    },
  );
  const kv = array(jax, [width, 2 * width]);
  const x = array(jax, [rows, width]);
  return contender(() => {
    let h = x.ref;
    for (let i = 0; i < count; i++)
      h = layer(h, q.ref, kv.ref, out.ref, gate.ref, up.ref, down.ref, keys.ref, values.ref);
    return h;
  }, [keys, values, out, gate, up, down, q, kv, x]);
}

function array({ numpy }: Jax, shape: readonly number[]): JaxArray {
  return numpy.array(random(shape.reduce((product, size) => product * size, 1))).reshape(shape);
}

function contender(run: () => JaxArray, owned: readonly JaxArray[]): Contender {
  return {
    name: 'jax-js',
    step: async () => {
      const result = await run().blockUntilReady();
      result.dispose();
    },
    dispose: () => {
      for (const one of owned) one.dispose();
    },
  };
}
