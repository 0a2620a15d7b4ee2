/** Memory of a run beside weights, keys and values, without recording it: what `openRun` makes, from the same sizes. */

import type { CachePlan } from './cache/policy.ts';
import { mostLanes } from './cache/wavefront.ts';
import type { ModelDefinition } from './models/family.ts';
import { type MatrixSpec, weightSpecs } from './models/weights/weight-spec.ts';
import { type ScratchSizes, sumOf, type Trace, type Traced, traceScratch } from './tensor/placement.ts';

export interface PassSizes {
  readonly images: number;
  readonly rows: number;
  /** Condition tokens of a row. */
  readonly promptLength: number;
  readonly plan: CachePlan;
}

type Sizes = Pick<ModelDefinition<never>, 'geometry' | 'grid' | 'width' | 'intermediateSize' | 'imageTokens' | 'parts'>;

/** The prefill's scratch, the step's and the line end's, the prompt and the sampler. All are alive together. */
export function passBytes(model: Sizes, { images, rows, promptLength, plan }: PassSizes): ScratchSizes {
  const { geometry, grid, parts } = model;
  const prefill = traceScratch();
  const rowTokens = rows * promptLength;
  const features = parts.textEncoder && encode(prefill, parts.textEncoder.weights, images * promptLength);
  forward(prefill, model, { images, rows, tokens: promptLength, features });
  // a program of each number of lanes; of drafts one
  const lanes = mostLanes({ ...grid, window: plan.window, hasLineEnd: grid.lineEnd !== undefined });
  const counts = plan.speculated > 1 ? [plan.speculated] : Array.from({ length: lanes }, (_, i) => i + 1);
  const steps = counts.map((tokens) => {
    const step = traceScratch();
    forward(step, model, { images, rows, tokens, draws: tokens });
    return step.sizes();
  });
  const most = plan.survivors + plan.summaries + grid.lineLength;
  const evicts = plan.survivors + plan.summaries > 0;
  const candidates = 4 * rows * geometry.kvHeads * most;
  const lineEnd = evicts ? 3 * candidates + 4 * rows * geometry.kvHeads * plan.summaries : 0;
  const drawn = 4 * images * grid.lines * grid.lineLength;
  return sumOf([
    prefill.sizes(),
    ...steps,
    { bytes: lineEnd, bindingBytes: evicts ? candidates : 0 },
    { bytes: drawn + 32 * images, bindingBytes: drawn },
    { bytes: 4 * rowTokens, bindingBytes: 4 * rowTokens },
  ]);
}

interface Forward {
  readonly images: number;
  readonly rows: number;
  readonly tokens: number;
  /** Tokens drawn of each image. Default: one. */
  readonly draws?: number;
  /** Of the text encoder. */
  readonly features?: Traced | undefined;
}

/** Embeddings, blocks, logits and the draw. Layers share their memory, so two stand for all. */
function forward({ make, use }: Trace, model: Sizes, { images, rows, tokens, draws = 1, features }: Forward): void {
  const { geometry, width, intermediateSize, imageTokens } = model;
  const { heads, kvHeads, headDim } = geometry;
  const floats = (count: number) => 4 * rows * tokens * count;
  let x = features ? project(make, model, { images, rows, tokens, features }) : make(floats(width));
  for (const _ of [1, 2]) {
    const qkv = make(floats((heads + 2 * kvHeads) * headDim), x);
    const h = make(floats(width), make(floats(heads * headDim), qkv), x);
    x = make(floats(width), make(floats(intermediateSize), h), h);
  }
  const logits = make(4 * rows * draws * imageTokens.count, make(4 * rows * draws * width, x));
  use(make(4 * images * draws * imageTokens.count, logits));
}

/** Captions through their two layers, then repeated for the rows without one. */
function project(make: Trace['make'], { width }: Sizes, { images, rows, tokens, features }: Forward): Traced {
  const own = 4 * images * tokens * width;
  const conditional = make(own, make(own, ...(features ? [features] : [])));
  return rows > images ? make(4 * rows * tokens * width, conditional) : conditional;
}

/** A text encoder's blocks: each layer stands in its weights as q, k, v; out; gate and up; down. */
function encode({ make }: Trace, weights: object, tokens: number): Traced {
  const matrices = [...weightSpecs(weights)].filter((spec): spec is MatrixSpec => spec.role === 'matrix');
  const qkv = matrices[0]!; // an encoder has a layer
  const inner = matrices.find(({ up }) => up !== undefined)?.outputs ?? qkv.outputs;
  const floats = (count: number) => 4 * tokens * count;
  let x = make(floats(qkv.inputs));
  for (const _ of [1, 2]) {
    const attended = make(floats(qkv.outputs / 3), make(floats(qkv.outputs), x));
    const h = make(floats(qkv.inputs), attended, x);
    x = make(floats(qkv.inputs), make(floats(inner), h), h);
  }
  return make(floats(qkv.inputs), x);
}
