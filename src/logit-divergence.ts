/** How far a model's logits are from another's when both are fed the same tokens: what quantized weights do to a model. */

import { planCache } from './cache/policy.ts';
import type { ImageModel } from './models/image-model.ts';
import { type Head, openCondition, openRun } from './open-run.ts';
import { OptionError, ShapeError } from './tensor/errors.ts';
import type { Runtime } from './tensor/runtime.ts';
import type { Tensor } from './tensor/tensor.ts';

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
  const shown = { ...grid, lines };
  using condition = openCondition(model, prompt, false);
  const options = { condition, grid: shown, plans: [planCache({}, shown)] } as const;
  using run = await openRun(model, options, (images) => new Teacher(runtime, images));
  const { images } = condition;

  const steps = lines * grid.lineLength;
  const tokens: Uint32Array<ArrayBuffer>[] = [];
  const logits: Float32Array[] = [];
  for (let i = 0; i < steps; i++) {
    const isForced = grid.lineEnd !== undefined && (i + 1) % grid.lineLength === 0;
    const read = (await run.draw().result.read()) as Float32Array;
    if (!isForced) logits.push(read);
    signal?.throwIfAborted();
    onStep?.(i + 1, steps);
    const greedy = () => rowsOf(read, images).map((row) => imageTokens.first + largest(row));
    tokens.push(given?.[i] ?? (isForced ? new Uint32Array(images).fill(grid.lineEnd!) : Uint32Array.from(greedy())));
    run.head.token.write(tokens[i]!);
  }
  return { tokens, logits, images };
}

/** Draws nothing: it is told what to feed. */
class Teacher implements Head<Tensor, Tensor> {
  readonly token: Tensor;

  constructor(runtime: Runtime, images: number) {
    this.token = runtime.tensor([images], 'u32', 'token');
  }

  next(logits: Tensor): Tensor {
    return logits;
  }

  dispose(): void {
    this.token.dispose();
  }
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
