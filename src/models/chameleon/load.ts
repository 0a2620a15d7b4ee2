/** Lumina-mGPT's tensors to our layers. Source: transformers' names of Chameleon. */

import type { LayerLoader } from '../layer-loader.ts';
import { loadLlama } from '../parts/llama.ts';
import type { ChameleonConfig } from './config.ts';
import type { ChameleonLayers } from './model.ts';

/** The VQ model inside the transformer's checkpoint encodes only; pictures come from Chameleon's own file. */
export const CHAMELEON_IGNORED: readonly RegExp[] = [/^model\.vqmodel\./, /\.rotary_emb\.inv_freq$/];

/** What stays in float when the matrices of the blocks are quantized. */
export const CHAMELEON_FLOAT: readonly RegExp[] = [/^lm_head\./];

export async function loadChameleon(loader: LayerLoader, config: ChameleonConfig): Promise<ChameleonLayers> {
  const { width, vocabulary, vq, tokens } = config;
  return {
    tokens: await loader.table({ name: 'model.embed_tokens.weight', count: vocabulary, width }),
    transformer: await loadLlama(loader, config, 'model.'),
    head: await loader.linear({
      name: 'lm_head.weight',
      rows: { first: tokens.firstCode, height: vocabulary },
      inputs: width,
      outputs: vq.codebook.count,
      gain: 'model.norm.weight',
    }),
  };
}
