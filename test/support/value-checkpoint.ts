/** A checkpoint of values in memory, in f32. */

import type { Checkpoint, StoredTensor } from '../../src/tensor/checkpoint/checkpoint.ts';

export type NamedValues = Readonly<
  Record<string, { readonly shape: readonly number[]; readonly values: Float32Array<ArrayBuffer> }>
>;

export function valueCheckpoint(name: string, tensors: NamedValues): Checkpoint {
  const stored = Object.entries(tensors).map(([tensor, { shape, values }]): [string, StoredTensor] => {
    const read = async (from = 0, bytes = values.byteLength - from) =>
      new Uint8Array(values.slice().buffer, from, bytes);
    return [tensor, { name: tensor, dtype: 'f32', shape, bytes: values.byteLength, read }];
  });
  return { name, format: 'safetensors', tensors: new Map(stored), metadata: {}, close: async () => undefined };
}
