/** How far a model's logits are from another's when both are fed the same tokens: what quantised weights do to a model. */

import { KvStore } from './cache/kv-store.ts';
import { planCache } from './cache/policy.ts';
import type { ImageModel } from './models/image-model.ts';
import { OptionError, ShapeError } from './tensor/errors.ts';

export interface TraceOptions<Prompt> {
  readonly prompt: Prompt;
  /** First lines of the image to trace; at most all. */
  readonly lines: number;
  /** Tokens [step][image] to feed. Default: after every step the largest of the guided logits. */
  readonly tokens?: readonly Uint32Array<ArrayBuffer>[];
  readonly onStep?: (done: number, steps: number) => void;
  readonly signal?: AbortSignal;
}

export interface LogitTrace {
  /** Fed after each step, [step][image]. */
  readonly tokens: readonly Uint32Array<ArrayBuffer>[];
  /** Of each step whose token is not fixed by the grid, [R, V]; conditional rows first. */
  readonly logits: readonly Float32Array[];
  /** R: images, doubled where the model's own sampling is guided. */
  readonly rows: number;
}

/**
 * Runs a model over the first lines of an image and reads the logits of every step back. Everything is remembered.
 *
 * Throws OptionError for lines out of range, what the prompt throws, and the signal's reason.
 */
export async function traceLogits<Prompt>(
  model: ImageModel<Prompt>,
  { prompt, lines, tokens: given, onStep, signal }: TraceOptions<Prompt>,
): Promise<LogitTrace> {
  const { runtime, defaults, imageTokens } = model;
  const grid = model.grid(prompt);
  if (!Number.isSafeInteger(lines) || lines < 1 || lines > grid.lines)
    throw new OptionError(`lines: expected a whole number from 1 to ${grid.lines}, got ${lines}`);
  using condition = model.condition(prompt, defaults.guidanceScale > 1);
  const { rows, images, tokens: length } = condition;
  const shape = { ...model.geometry, ...grid, ...condition, lines, condition: length, dtype: model.kvDtype };
  using store = await KvStore.open(runtime, shape, planCache({}, lines));
  using token = runtime.tensor([images], 'u32', 'token');
  using prefix = await runtime.record('prefix', () => model.logits(condition.embeddings(), store.prefix, length));
  using step = await runtime.record('step', () => model.logits(model.embed(token, rows), store.line, 1));

  const steps = lines * grid.lineLength;
  const tokens: Uint32Array<ArrayBuffer>[] = [];
  const logits: Float32Array[] = [];
  prefix.run();
  for (let i = 0; i < steps; i++) {
    const isForced = grid.lineEnd !== undefined && (i + 1) % grid.lineLength === 0;
    const read = (await (i === 0 ? prefix : step).result.read()) as Float32Array;
    if (!isForced) logits.push(read);
    signal?.throwIfAborted();
    onStep?.(i + 1, steps);
    const greedy = () => greedyTokens(read, images, defaults.guidanceScale).map((code) => code + imageTokens.first);
    tokens.push(given?.[i] ?? (isForced ? new Uint32Array(images).fill(grid.lineEnd!) : greedy()));
    if (i + 1 === steps) break;
    token.write(tokens[i]!);
    runtime.run(step, ...store.place(i));
  }
  return { tokens, logits, rows };
}

/** The largest guided logit of each image. `logits` [R, V]. */
function greedyTokens(logits: Float32Array, images: number, scale: number): Uint32Array<ArrayBuffer> {
  const rows = scale > 1 ? 2 * images : images;
  const vocabulary = logits.length / rows;
  return Uint32Array.from({ length: images }, (_, image) => {
    const conditional = logits.subarray(image * vocabulary, (image + 1) * vocabulary);
    if (scale <= 1) return largest(conditional);
    const unconditional = logits.subarray((images + image) * vocabulary, (images + image + 1) * vocabulary);
    return largest(conditional.map((c, i) => unconditional[i]! + (c - unconditional[i]!) * scale));
  });
}

function largest(values: Float32Array): number {
  let at = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[at]!) at = i;
  return at;
}

export interface Drift {
  /** Mean and largest |a − b| of a logit. */
  readonly mean: number;
  readonly most: number;
  /** Standard deviation of the first trace's logits around the mean of their row: what a drift is to be held against. */
  readonly deviation: number;
  /** Share of rows whose largest logit is the same. */
  readonly sameLargest: number;
  /** Rows compared: steps times R. */
  readonly rows: number;
}

/** Throws ShapeError for traces of different length or width. */
export function logitDrift(a: LogitTrace, b: LogitTrace): Drift {
  const size = ({ logits, rows }: LogitTrace) =>
    `${logits.length} steps of ${rows} x ${(logits[0]?.length ?? 0) / rows}`;
  if (size(a) !== size(b)) throw new ShapeError(`logitDrift: expected ${size(a)}, got ${size(b)}`);
  const sums = { drift: 0, squares: 0, same: 0, values: 0 };
  let most = 0;
  for (const [step, all] of a.logits.entries()) {
    const width = all.length / a.rows;
    for (let from = 0; from < all.length; from += width) {
      const one = all.subarray(from, from + width);
      const other = b.logits[step]!.subarray(from, from + width);
      const mean = one.reduce((sum, v) => sum + v, 0) / width;
      for (const [i, v] of one.entries()) {
        const drift = Math.abs(v - other[i]!);
        sums.drift += drift;
        sums.squares += (v - mean) ** 2;
        most = Math.max(most, drift);
      }
      if (largest(one) === largest(other)) sums.same++;
      sums.values += width;
    }
  }
  const rows = a.logits.length * a.rows;
  return {
    mean: sums.drift / sums.values,
    most,
    deviation: Math.sqrt(sums.squares / sums.values),
    sameLargest: sums.same / rows,
    rows,
  };
}
