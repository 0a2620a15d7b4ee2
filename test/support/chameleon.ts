/** The golden Chameleon model: a tiny random one, its VQGAN in the same file behind a prefix. */

import { readFileSync } from 'node:fs';
import { embedding } from '../../src/kernels/embedding.ts';
import type { MatrixDtype } from '../../src/kernels/linear/weight.ts';
import type { ChameleonConfig } from '../../src/models/chameleon/config.ts';
import { defineChameleon } from '../../src/models/chameleon/definition.ts';
import { logits } from '../../src/models/chameleon/model.ts';
import { type ChameleonLayers, chameleonWeights } from '../../src/models/chameleon/weights.ts';
import type { ImageModel } from '../../src/models/image-model.ts';
import { type ModelOptions, openModel } from '../../src/models/open-model.ts';
import type { TextPrompt } from '../../src/models/text/prompt.ts';
import { loadWeights } from '../../src/models/weights/load-weights.ts';
import type { Checkpoint } from '../../src/tensor/checkpoint/checkpoint.ts';
import type { Runtime } from '../../src/tensor/runtime.ts';
import type { Bare } from './trace.ts';

/** A model to trace, its layers in reach; prompts become rows by the product's own rules. */
export interface BareLumina extends Bare<TextPrompt> {
  readonly model: ImageModel<TextPrompt>;
  readonly layers: ChameleonLayers;
}

/** `both` holds the transformer and, behind a prefix, the VQGAN. */
export async function loadBareLumina(
  runtime: Runtime,
  both: Checkpoint,
  config: ChameleonConfig,
  dtype: MatrixDtype = 'f32',
): Promise<BareLumina> {
  const { transformer, vqgan } = splitCheckpoint(both);
  const { layers, dispose } = await loadWeights(runtime, chameleonWeights(config), { checkpoint: transformer, dtype });
  const model = await openLumina(runtime, { transformer, vqgan }, { config, dtype });
  return {
    runtime,
    model,
    layers,
    grid: model.grid({ promptTokens: [] }),
    geometry: model.geometry,
    transformer: layers.transformer,
    condition: (prompt, isGuided) => model.condition(prompt, isGuided),
    embed: (tokens, rows) => embedding(tokens, layers.tokens, rows),
    logits: (x, tokens) => logits(layers, x, tokens),
    dispose: () => {
      dispose();
      model.dispose();
    },
  };
}

/** A model whole, named `tiny`. */
export async function openLumina(
  runtime: Runtime,
  { transformer, vqgan }: ReturnType<typeof splitCheckpoint>,
  { config, ...options }: ModelOptions & { readonly config: ChameleonConfig },
): Promise<ImageModel<TextPrompt>> {
  const checkpoints = { checkpoint: transformer, vq: vqgan };
  return await openModel(runtime, defineChameleon('tiny', config), { checkpoints, dtype: 'f32', ...options });
}

/** The configuration of a golden folder. */
export function luminaConfig(folder = 'chameleon'): ChameleonConfig {
  const { model, ids, grid, vq } = JSON.parse(readFileSync(`test/golden/${folder}/config.json`, 'utf8'));
  const grids = grid / 2;
  return {
    layers: model.num_hidden_layers,
    heads: model.num_attention_heads,
    kvHeads: model.num_key_value_heads,
    headDim: model.head_dim,
    width: model.hidden_size,
    intermediateSize: model.intermediate_size,
    ropeBase: model.rope_theta,
    normEpsilon: model.rms_norm_eps,
    qkNormEpsilon: model.qk_norm_eps,
    vocabulary: model.vocab_size,
    grids,
    tokens: { imageStart: ids.image_start, size: ids.size_base, newline: ids.newline, firstCode: ids.image_base },
    vq: {
      codebook: { count: vq.n_embed, width: vq.embed_dim, normalized: vq.codebook_l2_norm },
      zChannels: vq.z_channels,
      baseChannels: vq.ch,
      multipliers: vq.ch_mult,
      residualBlocks: vq.num_res_blocks,
      layout: 'chameleon',
    },
    mostPromptTokens: 32,
  };
}

/** The transformer's tensors, and those of the VQGAN under Chameleon's own names. */
export function splitCheckpoint(both: Checkpoint): { readonly transformer: Checkpoint; readonly vqgan: Checkpoint } {
  const isVq = (name: string) => name.startsWith('vqgan.');
  const entries = [...both.tensors];
  return {
    transformer: { ...both, tensors: new Map(entries.filter(([name]) => !isVq(name))) },
    vqgan: {
      ...both,
      tensors: new Map(entries.filter(([name]) => isVq(name)).map(([name, tensor]) => [name.slice(6), tensor])),
    },
  };
}
