/** A whole tiny model that draws from text: the golden text-conditional GPT, VQ tokenizer, T5 encoder and its tokenizer. */

import { LlamaGen } from '../../src/models/llamagen/index.ts';
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

export async function tinyTextModel(runtime: Runtime, { tokenizer, withEncoder = true }: TextParts): Promise<LlamaGen> {
  const gpt = await openGolden('llamagen-t2i');
  const vq = await openGolden('llamagen-vq');
  const t5 = await openGolden('t5');
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
      config: goldenConfig('llamagen-t2i'),
      vqConfig,
      textConfig: goldenT5Config(),
      dtype: 'f32',
      ...(withEncoder && { textEncoder: t5.model }),
      ...(tokenizer && { tokenizer }),
    });
  } finally {
    for (const golden of [gpt, vq, t5]) await golden.close();
  }
}
