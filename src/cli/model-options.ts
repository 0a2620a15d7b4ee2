/** Which model a command draws with, and how freely: flags that several commands share. */

import type { Command } from 'commander';
import type { WeightDtype } from '../models/family.ts';
import type { SamplingOptions } from '../sampler.ts';
import type { Driver } from '../tensor/device/adapter.ts';
import { defined, number } from './options.ts';

export interface ModelFlags {
  readonly checkpoint?: string;
  readonly vq?: string;
  readonly textEncoder?: string;
  readonly tokenizer?: string;
  readonly tokenizerConfig?: string;
  readonly vqPreset?: string;
  readonly dtype?: WeightDtype;
  readonly driver: Driver;
}

export function addModelOptions(command: Command): Command {
  return command
    .option('--checkpoint <file>', 'checkpoint of the transformer: path, folder, URL or hf:owner/name@revision')
    .option('--vq <file>', 'checkpoint of the VQ tokenizer')
    .option('--text-encoder <file>', 'checkpoint of the T5 encoder, for LlamaGen from text')
    .option('--tokenizer <file>', 'tokenizer.json of the model that reads the prompt')
    .option('--tokenizer-config <file>', 'the tokenizer_config.json beside it, where there is one')
    .option('--vq-preset <name>', 'vq-ds16 or vq-ds8')
    .option('--dtype <type>', 'storage of weights: f16, f32, int8 or int4 (default: f16)')
    .option('--driver <name>', 'auto, gpu, lavapipe, swiftshader or null', 'auto');
}

/** As recipes and `loadModel` take it. */
export function loadedAs(flags: ModelFlags): Readonly<Record<string, string>> {
  const { dtype, checkpoint, vq, textEncoder, tokenizer, tokenizerConfig, vqPreset } = flags;
  return defined({ dtype, checkpoint, vq, textEncoder, tokenizer, tokenizerConfig, vqPreset }) as Record<
    string,
    string
  >;
}

export interface SamplingFlags {
  readonly seed?: number;
  readonly guidance?: number;
  readonly cfgInterval?: number;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
}

export function addSamplingOptions(command: Command): Command {
  return command
    .option('--seed <number>', 'the same seed on the same driver draws the same images (default: 0)', number)
    .option('--guidance <scale>', 'classifier-free guidance; 1 or less is off', number)
    .option('--cfg-interval <step>', 'guidance until this step; -1 is always', number)
    .option('--temperature <number>', '0 takes the most likely token', number)
    .option('--top-k <number>', 'draw among the k most likely tokens; 0 is off', number)
    .option('--top-p <number>', 'draw among the likeliest tokens that reach this mass; 1 is off', number);
}

export function samplingOf(flags: SamplingFlags): SamplingOptions {
  const { guidance: guidanceScale, cfgInterval, temperature, topK, topP, seed } = flags;
  return defined({ guidanceScale, cfgInterval, temperature, topK, topP, seed }) as SamplingOptions;
}
