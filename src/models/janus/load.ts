/** Janus-Pro's tensors to our layers. Source: janus/models/modeling_vlm.py. */

import type { LayerLoader } from '../layer-loader.ts';
import { loadLlama } from '../parts/llama.ts';
import { loadVqDecoder } from '../parts/vq/load.ts';
import type { JanusConfig } from './config.ts';
import type { JanusLayers } from './model.ts';

export async function loadJanus(loader: LayerLoader, config: JanusConfig): Promise<JanusLayers> {
  const { width, headWidth, vocabulary, vq } = config;
  const { count, width: codeWidth } = vq.codebook;
  const dense = async (name: string, inputs: number, outputs: number, gain?: string) =>
    await loader.linear({
      name: `${name}.weight`,
      bias: `${name}.bias`,
      inputs,
      outputs,
      ...(gain !== undefined && { gain }),
    });
  return {
    text: await loader.table({ name: 'language_model.model.embed_tokens.weight', count: vocabulary, width }),
    transformer: await loadLlama(loader, config, 'language_model.model.'),
    headIn: await dense('gen_head.output_mlp_projector', width, headWidth, 'language_model.model.norm.weight'),
    headOut: await dense('gen_head.vision_head', headWidth, count),
    codes: await loader.table({ name: 'gen_embed.weight', count, width: codeWidth }),
    alignIn: await dense('gen_aligner.layers.0', codeWidth, width),
    alignOut: await dense('gen_aligner.layers.2', width, width),
    vq: await loadVqDecoder(loader, vq, 'gen_vision_model.'),
  };
}
