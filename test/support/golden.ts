/** Tensors of tiny random models, computed by the references in PyTorch; each folder of test/golden has a README. */

import { type Checkpoint, openCheckpoint } from '../../src/tensor/checkpoint/checkpoint.ts';
import { widen } from '../../src/tensor/dtype.ts';
import { fileSource } from '../../src/tensor/source/file-node.ts';

export interface Golden {
  /** The model's weights under the reference's names. */
  readonly model: Checkpoint;
  /** All values of an input or output, whole numbers as numbers too. */
  values(name: string): Promise<ArrayLike<number>>;
  /** Sizes of an input or output. */
  shape(name: string): readonly number[];
  close(): Promise<void>;
}

/** `folder` is one of test/golden; its weights may be those of another. */
export async function openGolden(folder: string, modelFolder = folder): Promise<Golden> {
  const open = async (file: string) => await openCheckpoint(await fileSource(`test/golden/${file}.safetensors`));
  const model = await open(`${modelFolder}/model`);
  const io = await open(`${folder}/io`);
  const tensor = (name: string) => {
    const found = io.tensors.get(name);
    if (!found) throw new Error(`${folder}: expected a tensor ${name}, got none`);
    return found;
  };
  return {
    model,
    values: async (name) => {
      const { dtype, read } = tensor(name);
      const bytes = await read();
      if (dtype === 'u8' || dtype === 'bool') return bytes;
      if (dtype === 'i32') return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
      if (dtype === 'i64')
        return Array.from(new BigInt64Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 8), Number);
      return widen(bytes, dtype, name);
    },
    shape: (name) => tensor(name).shape,
    close: async () => {
      await model.close();
      await io.close();
    },
  };
}
