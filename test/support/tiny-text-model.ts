/** A whole tiny model that draws from text: the golden text-conditional GPT, VQ tokenizer, T5 encoder and its tokenizer. */

import type { ImageModel } from '../../src/models/image-model.ts';
import type { LlamaGenPrompt } from '../../src/models/llamagen/condition.ts';
import { defineLlamaGen } from '../../src/models/llamagen/definition.ts';
import { openModel } from '../../src/models/open-model.ts';
import type { TextTokenizer } from '../../src/models/text/tokenizer/tokenizer.ts';
import type { Runtime } from '../../src/tensor/runtime.ts';
import { openGolden } from './golden.ts';
import { goldenT5Config } from './golden-t5.ts';
import { goldenConfig } from './trace.ts';

export interface TextParts {
  readonly tokenizer?: TextTokenizer;
  /** Default true. */
  readonly withEncoder?: boolean;
}

export async function tinyTextModel(
  runtime: Runtime,
  { tokenizer, withEncoder = true }: TextParts,
): Promise<ImageModel<LlamaGenPrompt>> {
  const gpt = await openGolden('llamagen-t2i');
  const vq = await openGolden('llamagen-vq');
  const t5 = await openGolden('t5');
  try {
    const config = goldenConfig('llamagen-t2i');
    const { condition } = config;
    if (condition.kind !== 'caption') throw new Error('expected a model of captions');
    const encoder = goldenT5Config();
    const definition = defineLlamaGen('tiny', { ...config, condition: { ...condition, encoder } });
    return await openModel(runtime, definition, {
      checkpoints: { checkpoint: gpt.model, vq: vq.model, ...(withEncoder && { textEncoder: t5.model }) },
      dtype: 'f32',
      ...(tokenizer && { tokenizer }),
    });
  } finally {
    for (const golden of [gpt, vq, t5]) await golden.close();
  }
}
