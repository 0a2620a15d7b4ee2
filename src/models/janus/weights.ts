/** Janus-Pro's weights under its checkpoint's names. Source: deepseek-ai/Janus, janus/models/modeling_vlm.py. */

import { llamaWeights } from '../parts/llama.ts';
import { vqWeights } from '../parts/vq/weights.ts';
import { type Loaded, type MatrixSpec, matrix, table } from '../weights/weight-spec.ts';
import type { JanusConfig } from './config.ts';

export type JanusLayers = Loaded<ReturnType<typeof janusWeights>>;

/** Generation head, aligner and VQ tokenizer stay in float. */
export function janusWeights(config: JanusConfig) {
  const { width, headWidth, vocabulary, vq, mostPromptTokens, side } = config;
  const { count, width: codeWidth } = vq.codebook;
  const positions = mostPromptTokens + side * side;
  return {
    text: table({ name: 'language_model.model.embed_tokens.weight', count: vocabulary, width }),
    transformer: llamaWeights(config, { prefix: 'language_model.model.', positions }),
    headIn: dense('gen_head.output_mlp_projector', {
      inputs: width,
      outputs: headWidth,
      gain: 'language_model.model.norm.weight',
      step: 4,
    }),
    headOut: dense('gen_head.vision_head', { inputs: headWidth, outputs: count }),
    // code vectors that are fed, not those that are decoded
    codes: table({ name: 'gen_embed.weight', count, width: codeWidth }),
    alignIn: dense('gen_aligner.layers.0', { inputs: codeWidth, outputs: width, step: 4 }),
    alignOut: dense('gen_aligner.layers.2', { inputs: width, outputs: width, step: 4 }),
    vq: vqWeights(vq, 'gen_vision_model.'),
  };
}

function dense(name: string, shape: Pick<MatrixSpec, 'inputs' | 'outputs' | 'gain' | 'step'>) {
  return matrix({ name: `${name}.weight`, bias: `${name}.bias`, ...shape, unquantized: true });
}
