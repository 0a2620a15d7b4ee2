/** Lumina-mGPT's weights under the names of transformers' Chameleon. */

import { llamaWeights } from '../parts/llama.ts';
import { type Loaded, matrix, table } from '../weights/weight-spec.ts';
import { type ChameleonConfig, chameleonPositions } from './config.ts';

/** The VQ model inside the transformer's checkpoint encodes only; pictures come from Chameleon's own file. */
export const CHAMELEON_IGNORED: readonly RegExp[] = [/^model\.vqmodel\./, /\.rotary_emb\.inv_freq$/];

export type ChameleonLayers = Loaded<ReturnType<typeof chameleonWeights>>;

export function chameleonWeights(config: ChameleonConfig) {
  const { width, vocabulary, vq, tokens } = config;
  return {
    tokens: table({ name: 'model.embed_tokens.weight', count: vocabulary, width }),
    transformer: llamaWeights(config, { prefix: 'model.', positions: chameleonPositions(config) }),
    // rows of the image tokens alone
    head: matrix({
      name: 'lm_head.weight',
      rows: { first: tokens.firstCode, height: vocabulary },
      inputs: width,
      outputs: vq.codebook.count,
      gain: 'model.norm.weight',
      unquantized: true,
    }),
  };
}
