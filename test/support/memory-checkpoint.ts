/** A checkpoint of f32 tensors that a test made up. */

import type { Checkpoint, StoredTensor } from '../../src/tensor/checkpoint/checkpoint.ts';
import { storedRun } from '../../src/tensor/checkpoint/stored-tensor.ts';
import { bytesSource } from '../../src/tensor/source/bytes.ts';

export interface MadeTensor {
  readonly shape: readonly number[];
  readonly values: Float32Array<ArrayBuffer>;
}

export function memoryTensor(name: string, { shape, values }: MadeTensor): StoredTensor {
  const source = bytesSource(name, new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  return storedRun(source, { name, dtype: 'f32', shape, start: 0, bytes: values.byteLength });
}

export function memoryCheckpoint(tensors: Readonly<Record<string, MadeTensor>>): Checkpoint {
  const stored = Object.entries(tensors).map(([name, tensor]) => [name, memoryTensor(name, tensor)] as const);
  return { name: 'made', format: 'safetensors', tensors: new Map(stored), metadata: {}, close: async () => undefined };
}
