/** A run of a transformer step by step, with everything read back: what `generate` does, for tests to look into. */

import { readFileSync } from 'node:fs';
import type { KvStore } from '../../src/cache/kv-store.ts';
import { type CacheOptions, planCache } from '../../src/cache/policy.ts';
import { embedding, lastRows } from '../../src/kernels/embedding.ts';
import { linear } from '../../src/kernels/linear/linear.ts';
import type { MatrixDtype } from '../../src/kernels/linear/weight.ts';
import type { Condition, Geometry, LineGrid, Memory } from '../../src/models/image-model.ts';
import { type LlamaGenPrompt, makeCondition } from '../../src/models/llamagen/condition.ts';
import { type LlamaGenConfig, llamaGenConfig } from '../../src/models/llamagen/config.ts';
import { logits } from '../../src/models/llamagen/model.ts';
import { GPT_IGNORED, gptWeights } from '../../src/models/llamagen/weights.ts';
import { FLAN_T5_XL } from '../../src/models/parts/t5/config.ts';
import { blockForward, type Transformer } from '../../src/models/parts/transformer.ts';
import type { VqConfig } from '../../src/models/parts/vq/config.ts';
import { loadWeights } from '../../src/models/weights/load-weights.ts';
import { expectFit } from '../../src/models/weights/stored-shapes.ts';
import { openCondition, openRun } from '../../src/open-run.ts';
import type { Checkpoint } from '../../src/tensor/checkpoint/checkpoint.ts';
import type { Runtime } from '../../src/tensor/runtime.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';

/** The golden VQ tokenizer of LlamaGen. */
export const TINY_VQ: VqConfig = {
  codebook: { count: 256, width: 8, normalized: true },
  zChannels: 32,
  baseChannels: 32,
  multipliers: [2, 1],
  residualBlocks: 1,
};

/** The configuration of a golden model. */
export function goldenConfig(folder: string): LlamaGenConfig {
  const {
    model_args: args,
    ffn_hidden: intermediateSize,
    grid,
  } = JSON.parse(readFileSync(`test/golden/${folder}/config.json`, 'utf8'));
  return llamaGenConfig({
    layers: args.n_layer,
    heads: args.n_head,
    kvHeads: args.n_kv_head,
    width: args.dim,
    intermediateSize: intermediateSize ?? 172,
    vocabulary: args.vocab_size,
    side: grid,
    ropeBase: args.rope_base,
    normEpsilon: args.norm_eps,
    vq: TINY_VQ,
    condition:
      args.model_type === 'c2i'
        ? { kind: 'class', classes: args.num_classes }
        : { kind: 'caption', tokens: args.cls_token_num, encoder: { ...FLAN_T5_XL, width: args.caption_dim } },
  });
}

/** A model without its VQ decoder, of any family. */
export interface Bare<Prompt> {
  readonly runtime: Runtime;
  readonly grid: LineGrid;
  readonly geometry: Geometry;
  readonly transformer: Transformer;
  condition(prompt: Prompt, guided: boolean): Condition;
  embed(tokens: Tensor, rows: number): Tensor;
  /** From the last block's output. */
  logits(x: Tensor, tokens: number): Tensor;
  dispose(): void;
}

export async function loadBare(
  runtime: Runtime,
  checkpoint: Checkpoint,
  config: LlamaGenConfig,
  dtype: MatrixDtype = 'f32',
): Promise<Bare<LlamaGenPrompt> & { readonly config: LlamaGenConfig }> {
  const weights = gptWeights(config);
  expectFit(weights, checkpoint, GPT_IGNORED);
  const { layers: gpt, dispose } = await loadWeights(runtime, weights, { checkpoint, dtype });
  const { layers, heads, kvHeads, width, side } = config;
  return {
    runtime,
    config,
    grid: { lines: side, lineLength: side },
    geometry: { layers, heads, kvHeads, headDim: width / heads },
    transformer: gpt,
    condition: (prompt, guided) => makeCondition(runtime, gpt.condition, { prompt, guided, reader: undefined }),
    embed: (tokens, rows) => embedding(tokens, gpt.tokens, rows),
    logits: (x, tokens) => logits(gpt, x, tokens),
    dispose,
  };
}

/** Values of one recorded forward pass. */
export interface Taps {
  /** [R, V] */
  readonly logits: Float32Array;
  /** Of every token fed: input of block 0, its attention after wo, its output, the last block's output; [R · T, C]. */
  readonly input: Float32Array;
  readonly attention: Float32Array;
  readonly first: Float32Array;
  readonly last: Float32Array;
}

export interface TraceOptions<Prompt> {
  readonly prompt: Prompt;
  readonly guided: boolean;
  readonly cache?: CacheOptions;
  readonly dtype?: 'f16' | 'f32';
  /** The next token of each image, from the logits [R, V] of step `i`. */
  readonly choose: (logits: Float32Array, i: number) => readonly number[];
  /** Looks into the store after the step of each token, before the end of its line. */
  readonly afterToken?: (store: KvStore, token: number) => Promise<void>;
  /** Looks into the store after the end of a line. */
  readonly afterLine?: (store: KvStore, line: number) => Promise<void>;
}

/** One entry a token: the pass whose logits chose it. */
export async function trace<Prompt>(model: Bare<Prompt>, options: TraceOptions<Prompt>): Promise<Taps[]> {
  const { runtime, grid } = model;
  const tapping = { ...model, kvDtype: options.dtype ?? 'f32', logits: tapped(model) };
  const { prompt, guided, cache = {} } = options;
  const condition = openCondition(model, prompt, guided);
  using run = await openRun(tapping, { condition, grid, plans: [planCache(cache, grid)] }, (images) =>
    teacher(runtime, images),
  );
  const { head, store, prefill, step } = run;
  prefill.run();
  const entries = [await readTaps(prefill.result)];
  for (let i = 0; i < grid.lines * grid.lineLength - 1; i++) {
    head.token.write(Uint32Array.from(options.choose(entries[i]!.logits, i)));
    const after = store.advance();
    step.run();
    await options.afterToken?.(store, i);
    for (const program of after) program.run();
    if ((i + 1) % grid.lineLength === 0) await options.afterLine?.(store, Math.floor(i / grid.lineLength));
    entries.push(await readTaps(step.result));
  }
  return entries;
}

function teacher(runtime: Runtime, images: number) {
  const token = runtime.tensor([images], 'u32', 'token');
  return { token, next: (taps: Record<keyof Taps, Tensor>) => taps, dispose: () => token.dispose() };
}

const tapped =
  <Prompt>(model: Bare<Prompt>) =>
  (x: Tensor, memory: Memory, tokens: number) => {
    const { transformer } = model;
    let attended: Tensor | undefined;
    const tap: Memory = {
      attend: (layer, qkv, rotation) => {
        const y = memory.attend(layer, qkv, rotation);
        if (layer === 0) attended = y;
        return y;
      },
    };
    const outputs: Tensor[] = [];
    for (const [layer, block] of transformer.blocks.entries()) {
      outputs.push(blockForward(transformer, block, layer, outputs.at(-1) ?? x, tap));
    }
    const hidden = outputs.at(-1)!;
    return {
      input: lastRows(x, 1),
      attention: linear(attended!, transformer.blocks[0]!.out),
      first: outputs[0]!,
      last: hidden,
      logits: model.logits(hidden, tokens),
    };
  };

async function readTaps(taps: Record<keyof Taps, Tensor>): Promise<Taps> {
  const entries = Object.entries(taps).map(async ([name, tensor]) => [name, await tensor.read()] as const);
  return Object.fromEntries(await Promise.all(entries)) as unknown as Taps;
}

/** The index of the largest value of each row after guidance; rows are conditional first. */
export function greedy(logits: Float32Array, images: number, scale: number): number[] {
  const rows = scale > 1 ? 2 * images : images;
  const vocabulary = logits.length / rows;
  return Array.from({ length: images }, (_, image) => {
    const row = guided(logits, image, images, vocabulary, scale);
    return row.indexOf(Math.max(...row));
  });
}

/** Rows [R, ...] of a value of each step, put together as [R, steps, width]. `ofRows` is R, all rows of a pass. */
export function stack(
  entries: readonly Taps[],
  pick: keyof Taps,
  rows: readonly number[],
  ofRows: number,
): Float32Array {
  return Float32Array.from(
    rows.flatMap((row) =>
      entries.flatMap((entry) => {
        const width = entry[pick].length / ofRows;
        return [...entry[pick].subarray(row * width, (row + 1) * width)];
      }),
    ),
  );
}

/** Guided logits of one image. */
export function guided(
  logits: Float32Array,
  image: number,
  images: number,
  vocabulary: number,
  scale: number,
): Float32Array {
  const cond = logits.subarray(image * vocabulary, (image + 1) * vocabulary);
  if (scale <= 1) return cond;
  const uncond = logits.subarray((images + image) * vocabulary, (images + image + 1) * vocabulary);
  return cond.map((c, i) => uncond[i]! + (c - uncond[i]!) * scale);
}
