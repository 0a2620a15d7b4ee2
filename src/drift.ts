/** How far two models of one kind come apart: their logits for the same tokens, side by side. */

import { KvStore } from './cache/kv-store.ts';
import { planCache } from './cache/policy.ts';
import type { ImageModel } from './models/image-model.ts';
import type { Program } from './tensor/program.ts';
import type { Tensor } from './tensor/tensor.ts';

export interface Drift {
  /** Tokens compared. */
  readonly tokens: number;
  /** Mean and largest |difference| of the logits, and the root of their mean square over that of the first model. */
  readonly mean: number;
  readonly largest: number;
  readonly relative: number;
  /** Share of tokens for which both hold the same one most likely. */
  readonly sameChoice: number;
}

/**
 * Feeds both models the tokens that `reference` holds most likely, without guidance, for the first `lines` lines of one
 * image, and compares what they say of each. The logits are read back, token by token.
 */
export async function logitsDrift<Prompt>(
  reference: ImageModel<Prompt>,
  other: ImageModel<Prompt>,
  prompt: Prompt,
  lines: number,
): Promise<Drift> {
  const { lineLength, lineEnd } = reference.grid(prompt);
  using first = await open(reference, prompt);
  using second = await open(other, prompt);
  const tokens = lines * lineLength;
  let [sum, squares, all, largest, same, count] = [0, 0, 0, 0, 0, 0];
  for (let i = 0; i < tokens; i++) {
    const [a, b] = [await first.logits(i), await second.logits(i)];
    const choice = best(a);
    if (choice === best(b)) same++;
    for (const [at, value] of a.entries()) {
      const difference = Math.abs(value - b[at]!);
      sum += difference;
      squares += difference * difference;
      all += value * value;
      largest = Math.max(largest, difference);
    }
    count += a.length;
    const endsLine = lineEnd !== undefined && (i + 1) % lineLength === 0;
    const token = endsLine ? lineEnd : reference.imageTokens.first + choice;
    first.feed(token);
    second.feed(token);
  }
  return { tokens, mean: sum / count, largest, relative: Math.sqrt(squares / all), sameChoice: same / tokens };
}

/** A model that is stepped through from outside. */
async function open<Prompt>(model: ImageModel<Prompt>, prompt: Prompt) {
  const { runtime, geometry, kvDtype } = model;
  const grid = model.grid(prompt);
  const condition = model.condition(prompt, false);
  const { tokens, rows, images } = condition;
  const shape = { ...geometry, ...grid, ...condition, condition: tokens, dtype: kvDtype };
  const store = await KvStore.open(runtime, shape, planCache({}, grid.lines));
  const token = runtime.tensor([images], 'u32', 'token');
  const prefix = await runtime.record('prefix', () => model.logits(condition.embeddings(), store.prefix, tokens));
  const step = await runtime.record('step', () => model.logits(model.embed(token, rows), store.line, 1));
  return {
    /** Logits of token `i`, whose predecessors were fed. */
    async logits(i: number): Promise<Float32Array> {
      const program: Program<Tensor> = i === 0 ? prefix : step;
      if (i > 0) store.place(i - 1);
      program.run();
      return (await program.result.read()) as Float32Array;
    },
    feed: (id: number) => token.write(Uint32Array.of(id)),
    [Symbol.dispose]() {
      for (const thing of [prefix, step, token, store, condition]) thing.dispose();
    },
  };
}

function best(logits: Float32Array): number {
  return logits.reduce((most, value, i) => (value > logits[most]! ? i : most), 0);
}
