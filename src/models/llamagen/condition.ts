/** What a LlamaGen image is drawn from: a class, a text, or the features of a caption. */

import { concatRows } from '../../kernels/concat-rows.ts';
import { type EmbeddingTable, embedding } from '../../kernels/embedding.ts';
import { linear } from '../../kernels/linear/linear.ts';
import type { LinearWeight } from '../../kernels/linear/weight.ts';
import { whole } from '../../tensor/checks.ts';
import { OptionError } from '../../tensor/errors.ts';
import type { Runtime } from '../../tensor/runtime.ts';
import { show } from '../../tensor/show.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Condition } from '../image-model.ts';
import { type CaptionFeatures, type CaptionReader, readCaptions } from '../text/caption/caption-reader.ts';
import type { TextPrompt } from '../text/prompt.ts';

/** Class ids, one an image. */
export interface ClassPrompt {
  readonly classes: readonly number[];
}

/** Features of captions as the text encoder gives them: the valid ones first, then padding that is not read. */
export interface CaptionPrompt {
  readonly captions: readonly {
    /** [tokens, width], row major; `length` of them are valid. */
    readonly features: Float32Array;
    readonly length: number;
  }[];
}

/** What LlamaGen draws from: classes, or captions as words or as features. */
export type LlamaGenPrompt = ClassPrompt | CaptionPrompt | TextPrompt;

export type ConditionWeights =
  | { readonly kind: 'class'; readonly table: EmbeddingTable; readonly classes: number }
  | {
      readonly kind: 'caption';
      readonly fc1: LinearWeight;
      readonly fc2: LinearWeight;
      /** [tokens, width] on the CPU: it is uploaded with the captions, through the same projection. */
      readonly unconditional: Float32Array<ArrayBuffer>;
      readonly tokens: number;
      readonly width: number;
    };

export interface ConditionOptions {
  readonly prompt: LlamaGenPrompt;
  readonly guided: boolean;
  /** Absent: captions are given as features. */
  readonly reader: CaptionReader | undefined;
}

/** Validates the prompt and uploads it. With guidance, rows B .. 2 B - 1 are the unconditional ones. */
export function makeCondition(runtime: Runtime, weights: ConditionWeights, options: ConditionOptions): Condition {
  if (weights.kind === 'caption') return captionCondition(runtime, weights, options);
  return classCondition(runtime, weights, expectClasses(options.prompt, weights.classes), options.guided);
}

function classCondition(
  runtime: Runtime,
  { table, classes }: ConditionWeights & { kind: 'class' },
  ids: readonly number[],
  guided: boolean,
): Condition {
  const all = guided ? [...ids, ...ids.map(() => classes)] : ids;
  const tensor = runtime.tensor([all.length], 'u32', 'class ids', Uint32Array.from(all));
  const shape = { images: ids.length, promptLength: 1, leftPadding: all.map(() => 0) };
  return condition([tensor], shape, () => embedding(tensor, table));
}

/** Captions are padded on the left; the padding is hidden from all rows, in both branches. Source: sample_t2i.py. */
function captionCondition(
  runtime: Runtime,
  weights: ConditionWeights & { kind: 'caption' },
  { prompt, guided, reader }: ConditionOptions,
): Condition {
  const { tokens, width, fc1, fc2 } = weights;
  const captions = isText(prompt)
    ? readCaptions(runtime, expectReader(reader), prompt, tokens)
    : uploadCaptions(runtime, weights, expectCaptions(prompt));
  const project = (features: Tensor) => linear(linear(features, fc1, { activation: 'geluTanh' }), fc2);
  const { leftPadding } = captions;
  const images = leftPadding.length;
  if (!guided)
    return condition([captions], { images, promptLength: tokens, leftPadding }, () => project(captions.record()));
  const unconditional = runtime.tensor([tokens, width], 'f32', 'no caption', weights.unconditional);
  return condition(
    [captions, unconditional],
    { images, promptLength: tokens, leftPadding: [...leftPadding, ...leftPadding] },
    () => project(concatRows([captions.record(), ...leftPadding.map(() => unconditional)], 'captions')),
  );
}

/** Features as a caller gives them, padded behind, moved behind their padding. */
function uploadCaptions(
  runtime: Runtime,
  { tokens, width }: ConditionWeights & { kind: 'caption' },
  captions: CaptionPrompt['captions'],
): CaptionFeatures {
  const features = new Float32Array(captions.length * tokens * width);
  for (const [image, caption] of captions.entries()) {
    const isSound =
      caption?.features instanceof Float32Array &&
      caption.features.length === tokens * width &&
      whole(1, tokens).fits(caption.length);
    if (!isSound) {
      throw new OptionError(
        `captions[${image}]: expected features [${tokens}, ${width}] with 1 to ${tokens} valid, got ${show(caption?.features?.length)} values with ${show(caption?.length)} valid`,
      );
    }
    const valid = caption.features.subarray(0, caption.length * width);
    features.set(valid, ((image + 1) * tokens - caption.length) * width);
  }
  const tensor = runtime.tensor([captions.length * tokens, width], 'f32', 'captions', features);
  return {
    leftPadding: captions.map(({ length }) => tokens - length),
    record: () => tensor,
    dispose: () => tensor.dispose(),
  };
}

function condition(
  owned: readonly { dispose(): void }[],
  shape: Pick<Condition, 'images' | 'promptLength' | 'leftPadding'>,
  embeddings: () => Tensor,
): Condition {
  const dispose = () => {
    for (const thing of owned) thing.dispose();
  };
  const positionOffsets = shape.leftPadding.map(() => 0);
  return { ...shape, rows: shape.leftPadding.length, positionOffsets, embeddings, dispose, [Symbol.dispose]: dispose };
}

function isText(prompt: LlamaGenPrompt): prompt is TextPrompt {
  return 'prompts' in prompt || 'promptTokens' in prompt;
}

function expectReader(reader: CaptionReader | undefined): CaptionReader {
  if (reader) return reader;
  throw new OptionError(
    'prompt: expected a text encoder to read it, got none; load the model with { textEncoder, tokenizer }, or give { captions }',
  );
}

function expectClasses(prompt: LlamaGenPrompt, classes: number): readonly number[] {
  if (!('classes' in prompt) || !Array.isArray(prompt.classes) || prompt.classes.length === 0) {
    throw new OptionError(
      'prompt: expected { classes: [...] } with at least one class, got none; this model is class-conditional',
    );
  }
  for (const [image, id] of prompt.classes.entries()) {
    if (!Number.isInteger(id) || id < 0 || id >= classes) {
      throw new OptionError(`classes[${image}]: expected a whole number from 0 to ${classes - 1}, got ${show(id)}`);
    }
  }
  return prompt.classes;
}

function expectCaptions(prompt: LlamaGenPrompt): CaptionPrompt['captions'] {
  if (!('captions' in prompt) || !Array.isArray(prompt.captions) || !prompt.captions[0]) {
    throw new OptionError(
      'prompt: expected { prompts: [...] } or { captions: [...] } with at least one, got none; this model is text-conditional',
    );
  }
  return prompt.captions;
}
