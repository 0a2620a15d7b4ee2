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
  /** Tokens [place][image] to feed. Default: at every place the largest logit's. */
  readonly tokens?: readonly Uint32Array<ArrayBuffer>[];
  /** Columns that a line is ahead of the one below it. Default: a line, one after another. */
  readonly window?: number;
  readonly onStep?: (done: number, steps: number) => void;
  readonly signal?: AbortSignal;
}

export interface LogitTrace {
  /** Fed at each place, [place][image]. */
  readonly tokens: readonly Uint32Array<ArrayBuffer>[];
  /** Of each place whose token is not fixed by the grid, [B, V]. */
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
  { prompt, lines, tokens: given, window, onStep, signal }: TraceOptions<Prompt>,
): Promise<LogitTrace> {
  const { runtime, imageTokens } = model;
  const grid = model.grid(prompt);
  if (!Number.isSafeInteger(lines) || lines < 1 || lines > grid.lines)
    throw new OptionError(`lines: expected a whole number from 1 to ${grid.lines}, got ${lines}`);
  const shown = { ...grid, lines };
  using condition = openCondition(model, prompt, false);
  const options = {
    condition,
    grid: shown,
    plans: [planCache({}, shown, window === undefined ? {} : { parallel: { window } })],
  } as const;
  const { images } = condition;
  const places = lines * grid.lineLength;
  using run = await openRun(model, options, () => new Teacher(runtime, images, places));

  const isForced = (place: number) => grid.lineEnd !== undefined && (place + 1) % grid.lineLength === 0;
  const tokens: Uint32Array<ArrayBuffer>[] = [];
  const logits: Float32Array[] = [];
  for (let done = 0; done < places; ) {
    const lanes = done === 0 ? [{ draws: 0 }] : run.store.table.next;
    const read = rowsOf((await run.draw().result.read()) as Float32Array, images * lanes.length);
    signal?.throwIfAborted();
    for (const [lane, { draws }] of lanes.entries()) {
      if (draws === undefined) continue;
      const own = Array.from({ length: images }, (_, image) => read[image * lanes.length + lane]!);
      const likeliest = own.map((row) => (isForced(draws) ? grid.lineEnd! : imageTokens.first + largest(row)));
      tokens[draws] = given?.[draws] ?? Uint32Array.from(likeliest);
      logits[draws] = Float32Array.from(own.flatMap((row) => [...row]));
      done++;
      onStep?.(done, places);
    }
    run.head.tell(tokens);
  }
  return { tokens, logits: logits.filter((_, place) => !isForced(place)), images };
}

/** Draws nothing: it is told what to feed. */
class Teacher implements Head<Tensor, Tensor> {
  readonly token: Tensor;
  readonly tokens: Tensor;

  constructor(
    runtime: Runtime,
    images: number,
    private readonly places: number,
  ) {
    this.token = runtime.tensor([images], 'u32', 'token');
    this.tokens = runtime.tensor([images, places], 'u32', 'tokens');
  }

  /** Tokens [place][image] so far, with gaps where lines are in parallel. */
  tell(tokens: readonly Uint32Array<ArrayBuffer>[]): void {
    this.token.write(tokens.at(-1)!); // there is one at least
    const all = new Uint32Array(this.tokens.count);
    for (const [place, ofImages] of tokens.entries())
      for (const [image, id] of ofImages?.entries() ?? []) all[image * this.places + place] = id;
    this.tokens.write(all);
  }

  next(logits: Tensor): Tensor {
    return logits;
  }

  dispose(): void {
    this.token.dispose();
    this.tokens.dispose();
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
