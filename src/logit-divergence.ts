/** How far a model's logits are from another's when both are fed the same tokens: what quantized weights do to a model. */

import { KvStore } from './cache/kv-store.ts';
import { planCache } from './cache/policy.ts';
import type { ImageModel } from './models/image-model.ts';
import { OptionError, ShapeError } from './tensor/errors.ts';

export interface TraceOptions<Prompt> {
  readonly prompt: Prompt;
  /** First lines of the image to trace; at most all. */
  readonly lines: number;
  /** Tokens [step][image] to feed. Default: after every step the largest logit's. */
  readonly tokens?: readonly Uint32Array<ArrayBuffer>[];
  readonly onStep?: (done: number, steps: number) => void;
  readonly signal?: AbortSignal;
}

export interface LogitTrace {
  /** Fed after each step, [step][image]. */
  readonly tokens: readonly Uint32Array<ArrayBuffer>[];
  /** Of each step whose token is not fixed by the grid, [B, V]. */
  readonly logits: readonly Float32Array[];
  readonly images: number;
}

/**
 * Runs a model over the first lines of images, without guidance and with everything remembered, and reads the logits of
 * every step back.
 *
 * Throws OptionError for lines out of range, what the prompt throws, and the signal's reason.
 */
export async function traceLogits<Prompt>(
  model: ImageModel<Prompt>,
  { prompt, lines, tokens: given, onStep, signal }: TraceOptions<Prompt>,
): Promise<LogitTrace> {
  const { runtime, imageTokens } = model;
  const grid = model.grid(prompt);
  if (!Number.isSafeInteger(lines) || lines < 1 || lines > grid.lines)
    throw new OptionError(`lines: expected a whole number from 1 to ${grid.lines}, got ${lines}`);
  using condition = model.condition(prompt, false);
  const { rows, images, promptLength } = condition;
  const shape = { ...model.geometry, ...grid, ...condition, lines, condition: promptLength, dtype: model.kvDtype };
  using store = await KvStore.open(runtime, shape, planCache({}, { ...grid, lines }));
  using token = runtime.tensor([images], 'u32', 'token');
  using prefill = await runtime.record('prefill', () =>
    model.logits(condition.embeddings(), store.prefill, promptLength),
  );
  using step = await runtime.record('step', () => model.logits(model.embed(token, rows), store.decode, 1));

  const steps = lines * grid.lineLength;
  const tokens: Uint32Array<ArrayBuffer>[] = [];
  const logits: Float32Array[] = [];
  prefill.run();
  for (let i = 0; i < steps; i++) {
    const isForced = grid.lineEnd !== undefined && (i + 1) % grid.lineLength === 0;
    const read = (await (i === 0 ? prefill : step).result.read()) as Float32Array;
    if (!isForced) logits.push(read);
    signal?.throwIfAborted();
    onStep?.(i + 1, steps);
    const greedy = () => rowsOf(read, images).map((row) => imageTokens.first + largest(row));
    tokens.push(given?.[i] ?? (isForced ? new Uint32Array(images).fill(grid.lineEnd!) : Uint32Array.from(greedy())));
    if (i + 1 === steps) break;
    token.write(tokens[i]!);
    runtime.run(step, ...store.place(i));
  }
  return { tokens, logits, images };
}

function rowsOf(logits: Float32Array, rows: number): Float32Array[] {
  const width = logits.length / rows;
  return Array.from({ length: rows }, (_, row) => logits.subarray(row * width, (row + 1) * width));
}

function largest(values: Float32Array): number {
  let at = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[at]!) at = i;
  return at;
}

export interface LogitDivergence {
  /** Mean and largest |a − b| of a logit. */
  readonly mean: number;
  readonly largest: number;
  /** Root of the mean square of a − b over the standard deviation of a, each row around its own mean. */
  readonly relative: number;
  /** Share of tokens that both find the likeliest. */
  readonly sameChoice: number;
  /** Tokens compared. */
  readonly tokens: number;
}

/** Throws ShapeError for traces of different length or width. */
export function logitDivergence(a: LogitTrace, b: LogitTrace): LogitDivergence {
  const size = ({ logits, images }: LogitTrace) =>
    `${logits.length} steps of ${images} rows, ${logits[0]?.length} logits`;
  if (size(a) !== size(b)) throw new ShapeError(`logitDivergence: expected ${size(a)}, got ${size(b)}`);
  let [divergence, squares, spread, most, same, values] = [0, 0, 0, 0, 0, 0];
  for (const [step, all] of a.logits.entries()) {
    const others = rowsOf(b.logits[step]!, b.images);
    for (const [image, row] of rowsOf(all, a.images).entries()) {
      const other = others[image]!;
      const mean = row.reduce((sum, v) => sum + v, 0) / row.length;
      for (const [i, v] of row.entries()) {
        const off = Math.abs(v - other[i]!);
        divergence += off;
        squares += off * off;
        spread += (v - mean) ** 2;
        most = Math.max(most, off);
      }
      if (largest(row) === largest(other)) same++;
      values += row.length;
    }
  }
  const tokens = a.logits.length * a.images;
  return {
    mean: divergence / values,
    largest: most,
    relative: spread === 0 ? 0 : Math.sqrt(squares / spread),
    sameChoice: same / tokens,
    tokens,
  };
}
