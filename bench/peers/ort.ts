/** onnxruntime-node on its WebGPU provider, which has a Dawn of its own. */

import type { Contender } from './contender.ts';
import { random } from './sizes.ts';

interface OrtTensor {
  getData(): Promise<unknown>;
}

interface Ort {
  readonly InferenceSession: {
    create(
      model: Uint8Array,
      options: object,
    ): Promise<{ run(feeds: object): Promise<Record<string, OrtTensor>>; release(): Promise<void> }>;
  };
  readonly Tensor: new (type: 'float32', values: Float32Array, shape: readonly number[]) => OrtTensor;
}

/** By a name that the compiler does not follow: the package is installed in this folder alone. */
const PACKAGE: string = 'onnxruntime-node';

export async function ortGraph(name: string, model: Uint8Array, shape: readonly number[]): Promise<Contender> {
  const loaded: { readonly default: Ort } = await import(PACKAGE);
  const { InferenceSession, Tensor } = loaded.default;
  // warnings of the session would stand among the figures
  const session = await InferenceSession.create(model, { executionProviders: ['webgpu'], logSeverityLevel: 3 });
  const A = new Tensor('float32', random(shape.reduce((product, size) => product * size, 1)), shape);
  return {
    name,
    step: async () => void (await (await session.run({ A })).C!.getData()),
    dispose: () => void session.release(),
  };
}
