/** A whole tiny model with random weights: the golden class-conditional GPT and the golden VQ tokenizer, 8 x 8 tokens. */

import type { MatrixDtype } from '../../src/kernels/linear/weight.ts';
import type { ImageModel } from '../../src/models/image-model.ts';
import type { LlamaGenPrompt } from '../../src/models/llamagen/condition.ts';
import { defineLlamaGen } from '../../src/models/llamagen/definition.ts';
import { openModel } from '../../src/models/open-model.ts';
import type { Runtime } from '../../src/tensor/runtime.ts';
import { openGolden } from './golden.ts';
import { goldenConfig } from './trace.ts';

export async function tinyModel(runtime: Runtime, dtype: MatrixDtype = 'f32'): Promise<ImageModel<LlamaGenPrompt>> {
  const gpt = await openGolden('llamagen-c2i');
  const vq = await openGolden('llamagen-vq');
  try {
    const definition = defineLlamaGen('tiny', goldenConfig('llamagen-c2i'));
    return await openModel(runtime, definition, { checkpoints: { checkpoint: gpt.model, vq: vq.model }, dtype });
  } finally {
    await gpt.close();
    await vq.close();
  }
}
