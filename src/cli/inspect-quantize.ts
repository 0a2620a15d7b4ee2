/** `inspect --quantize`: what whole numbers cost a checkpoint, matrix by matrix, and what they do to the logits. */

import type { QuantizedDtype } from '../kernels/linear/quantize.ts';
import { type LogitDivergence, logitDivergence, traceLogits } from '../logit-divergence.ts';
import type { Part, WeightDtype } from '../models/family.ts';
import type { Fit } from '../models/fitting.ts';
import { type LoadModelOptions, loadModel } from '../models/load-model.ts';
import { officialCheckpoint } from '../models/official-names.ts';
import { modelName, type Prompt } from '../models/registry.ts';
import {
  likelyMatrices,
  type MatrixError,
  quantizationErrors,
  relativeError,
} from '../models/weights/quantization-errors.ts';
import type { Checkpoint } from '../tensor/checkpoint/checkpoint.ts';
import type { Driver } from '../tensor/device/adapter.ts';
import { OptionError } from '../tensor/errors.ts';
import { Runtime } from '../tensor/runtime.ts';
import { describeShape } from '../tensor/shape.ts';
import { chosenFit } from './chosen-fit.ts';
import { interruptible } from './exit.ts';
import { megabytes, table } from './options.ts';
import { progressBar } from './progress.ts';

export interface InspectQuantizeFlags {
  readonly quantize: QuantizedDtype;
  readonly model?: string;
  readonly vq?: string;
  readonly textEncoder?: string;
  readonly lines: number;
  readonly divergence: boolean;
  readonly driver: Driver;
  readonly json?: boolean;
}

/** `file` is the checkpoint's; undefined for the embedded one. */
export async function inspectQuantized(
  checkpoint: Checkpoint,
  fits: readonly Fit[],
  file: string | undefined,
  flags: InspectQuantizeFlags,
): Promise<void> {
  const { quantize: dtype, lines, json } = flags;
  const fit = chosenFit(checkpoint, fits, flags.model);
  const isModel = fit?.part === 'checkpoint';
  if (isModel) expectLines(lines, fit.definition.grid.lines);
  const { signal, release } = interruptible();
  try {
    const matrices = await measured(checkpoint, dtype, fit, signal);
    if (!json) console.log(errorTable(matrices, dtype));
    const missing = isModel && flags.divergence ? missingParts(fit, flags) : [];
    const divergence =
      isModel && flags.divergence && missing.length === 0
        ? await divergenceOf(fit, file, dtype, flags, signal)
        : undefined;
    if (json) {
      const errors = matrices.map((one) => ({ name: one.name, shape: one.shape, dtype: one.dtype, ...figures(one) }));
      const quantized = matrices.filter((one) => one.dtype === dtype);
      const total = { relative: relativeError(quantized), bytes: sumBytes(quantized) };
      return void console.log(
        JSON.stringify(
          { file: checkpoint.name, dtype, model: fit?.definition.name, errors, total, divergence },
          undefined,
          2,
        ),
      );
    }
    if (!fit) console.log('fits no preset: matrices are told from tables and heads by their names');
    if (missing.length > 0) console.log(`the divergence of the logits needs ${missing.join(' and ')}`);
    if (divergence && fit) console.log(divergenceLine(divergence, fit.definition.name, dtype, lines));
  } finally {
    release();
  }
}

function expectLines(lines: number, most: number): void {
  if (!Number.isSafeInteger(lines) || lines < 1 || lines > most)
    throw new OptionError(`lines: expected a whole number from 1 to ${most}, got ${lines}`);
}

async function measured(
  checkpoint: Checkpoint,
  dtype: QuantizedDtype,
  fit: Fit | undefined,
  signal: AbortSignal,
): Promise<readonly MatrixError[]> {
  const bar = progressBar('quantizing');
  const onProgress = ({ loadedBytes, totalBytes }: { loadedBytes: number; totalBytes: number }) =>
    bar.update(loadedBytes, totalBytes);
  try {
    if (!fit) return await quantizationErrors(likelyMatrices(checkpoint), checkpoint, { dtype, onProgress, signal });
    const { weights, officialName } = fit.definition.parts[fit.part]!; // the part that fits
    return await quantizationErrors(weights, officialCheckpoint(checkpoint, officialName), {
      dtype,
      onProgress,
      signal,
    });
  } finally {
    bar.stop();
  }
}

function figures(matrix: MatrixError): { relative?: number; largest?: number; bytes: number } {
  const { dtype, largest, bytes } = matrix;
  return dtype === 'f16' ? { bytes } : { relative: relativeError([matrix]), largest, bytes };
}

function sumBytes(matrices: readonly MatrixError[]): number {
  return matrices.reduce((sum, { bytes }) => sum + bytes, 0);
}

function errorTable(matrices: readonly MatrixError[], dtype: QuantizedDtype): string {
  const percent = (value: number) => `${(100 * value).toFixed(2)} %`;
  const rows = matrices.map((matrix) => {
    const { relative, largest, bytes } = figures(matrix);
    const errors = relative === undefined ? ['-', '-'] : [percent(relative), largest!.toExponential(2)];
    return [matrix.name, describeShape(matrix.shape), matrix.dtype, megabytes(bytes), ...errors];
  });
  const quantized = matrices.filter((matrix) => matrix.dtype === dtype);
  if (quantized.length === 0) return 'nothing to quantize: all matrices stay in float';
  const errors = quantized.map((matrix) => relativeError([matrix]));
  const mean = errors.reduce((sum, error) => sum + error, 0) / errors.length;
  const head = ['matrix', 'shape', 'stored', 'bytes', 'relative error', 'largest'];
  return `${table([head, ...rows])}

${quantized.length} matrices: mean ${percent(mean)}, worst ${percent(errors.reduce((most, error) => Math.max(most, error), 0))}, all weights together ${percent(relativeError(quantized))}
${megabytes(sumBytes(quantized))} in ${dtype}, scales included; the rest stays in float`;
}

/** Checkpoints that the logits cannot be had without, as options. */
function missingParts({ definition }: Fit, flags: InspectQuantizeFlags): string[] {
  const options: Readonly<Record<Part, string>> = { checkpoint: 'a file', vq: '--vq', textEncoder: '--text-encoder' };
  return Object.entries(definition.parts)
    .filter(
      ([part, { packaged, beside }]) =>
        part !== 'checkpoint' && !packaged && !beside && !flags[part as 'vq' | 'textEncoder'],
    )
    .map(([part]) => options[part as Part]);
}

/** The logits of f16 and of `dtype`, the models one after the other so that they need not fit beside each other. */
async function divergenceOf(
  { definition }: Fit,
  file: string | undefined,
  dtype: QuantizedDtype,
  { vq, textEncoder, lines, driver }: InspectQuantizeFlags,
  signal: AbortSignal,
): Promise<LogitDivergence> {
  using runtime = await Runtime.open({ driver });
  process.stderr.write(`${runtime.description}\n`);
  const sources: LoadModelOptions = {
    ...(file && { checkpoint: file }),
    ...(vq && { vq }),
    ...(textEncoder && { textEncoder }),
  };
  const prompt: Prompt = definition.classes === undefined ? { promptTokens: [[1, 2, 3, 4]] } : { classes: [0] };
  const trace = async (stored: WeightDtype, tokens?: readonly Uint32Array<ArrayBuffer>[]) => {
    const loading = progressBar('loading');
    const onProgress = (progress: { loadedBytes: number; totalBytes: number }) =>
      loading.update(progress.loadedBytes, progress.totalBytes);
    const model = loadModel(runtime, modelName(definition.name), { ...sources, dtype: stored, onProgress, signal });
    using loaded = await model.finally(() => loading.stop());
    const bar = progressBar(stored);
    const options = { prompt, lines, onStep: bar.update, signal, ...(tokens && { tokens }) };
    return await traceLogits(loaded, options).finally(() => bar.stop());
  };
  const float = await trace('f16');
  return logitDivergence(float, await trace(dtype, float.tokens));
}

function divergenceLine(divergence: LogitDivergence, model: string, dtype: QuantizedDtype, lines: number): string {
  const { tokens, mean, largest, relative, sameChoice } = divergence;
  const percent = (value: number, digits: number) => `${(100 * value).toFixed(digits)} %`;
  return `logits of ${model} in ${dtype} against f16, ${tokens} tokens of ${lines} lines: divergence ${mean.toFixed(3)} on average, ${largest.toFixed(2)} at most, ${percent(relative, 1)} of their deviation; the same token is the likeliest for ${percent(sameChoice, 0)}`;
}
