/** A whole tiny model with random weights: the golden class-conditional GPT and the golden VQ tokenizer, 8 x 8 tokens. */

import type { MatrixDtype } from '../../src/kernels/linear/weight.ts';
import { LlamaGen } from '../../src/models/llamagen/index.ts';
import type { Runtime } from '../../src/tensor/runtime.ts';
import { openGolden } from './golden.ts';
import { goldenConfig } from './trace.ts';

export async function tinyModel(runtime: Runtime, dtype: MatrixDtype = 'f32'): Promise<LlamaGen> {
  const gpt = await openGolden('llamagen-c2i');
  const vq = await openGolden('llamagen-vq');
  const vqConfig = {
    codebook: { count: 256, width: 8, normalized: true },
    zChannels: 32,
    baseChannels: 32,
    multipliers: [2, 1],
    residualBlocks: 1,
  };
  try {
    return await LlamaGen.load(runtime, gpt.model, vq.model, {
      name: 'tiny',
      config: goldenConfig('llamagen-c2i'),
      vqConfig,
      dtype,
    });
  } finally {
    await gpt.close();
    await vq.close();
  }
}
