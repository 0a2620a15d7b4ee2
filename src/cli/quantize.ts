/** `inspect --quantize`: what whole numbers cost a checkpoint, layer by layer, and what they do to the logits. */

import { logitsDrift } from '../drift.ts';
import type { QuantisedDtype } from '../kernels/quantise.ts';
import { ErrorLoader, type LayerError } from '../models/error-loader.ts';
import { type LoadModelOptions, loadModel, modelPreset } from '../models/load.ts';
import type { Part, Prompt } from '../models/preset.ts';
import type { Driver } from '../tensor/adapter.ts';
import type { Checkpoint } from '../tensor/checkpoint.ts';
import { OptionError } from '../tensor/errors.ts';
import { Runtime } from '../tensor/runtime.ts';
import { Weights } from '../tensor/weights.ts';
import { table } from './options.ts';
import { progressBar } from './progress.ts';

/** Throws OptionError for a dtype that is no whole number. */
export function expectQuantised(dtype: string): asserts dtype is QuantisedDtype {
  if (dtype !== 'int8' && dtype !== 'int4') throw new OptionError(`quantize: expected int8 or int4, got ${dtype}`);
}

/** Errors of every matrix of a checkpoint that fits `part` of a preset. */
export async function layerErrors(
  checkpoint: Checkpoint,
  name: string,
  part: Part,
  dtype: QuantisedDtype,
): Promise<readonly LayerError[]> {
  const preset = modelPreset(name);
  const bar = progressBar('quantising');
  const onProgress = ({ loadedBytes, totalBytes }: { loadedBytes: number; totalBytes: number }) =>
    bar.update(loadedBytes, totalBytes);
  const named = preset.withOfficialNames?.(checkpoint) ?? checkpoint;
  const loader = new ErrorLoader(
    new Weights(named, preset.ignored(part), { onProgress }),
    dtype,
    preset.keptInFloat(part),
  );
  await preset.take(part, loader).finally(() => bar.stop());
  return loader.errors;
}

export function errorTable(errors: readonly LayerError[]): string {
  const percent = (value: number) => `${(100 * value).toFixed(2)} %`;
  const rows = errors.map(({ name, relative, largest }) => [name, percent(relative), largest.toExponential(2)]);
  const mean = errors.reduce((sum, { relative }) => sum + relative, 0) / errors.length;
  const worst = Math.max(...errors.map(({ relative }) => relative));
  return `${table([['matrix', 'relative error', 'largest'], ...rows])}\n\n${errors.length} matrices: mean ${percent(mean)}, worst ${percent(worst)}; the rest stays in float`;
}

/** One line on how far the logits of the first `lines` lines come apart from those in f16. */
export async function driftLine(
  name: string,
  sources: LoadModelOptions,
  dtype: QuantisedDtype,
  lines: number,
  driver: Driver,
): Promise<string> {
  using runtime = await Runtime.open({ driver });
  process.stderr.write(`${runtime.description}\n`);
  using float = await loadModel(runtime, name, sources);
  using whole = await loadModel(runtime, name, { ...sources, dtype });
  const prompt: Prompt = modelPreset(name).classes === undefined ? { promptTokens: [[1, 2, 3, 4]] } : { classes: [0] };
  const { tokens, mean, largest, relative, sameChoice } = await logitsDrift(float, whole, prompt, lines);
  return `logits of ${name} in ${dtype} against f16, ${tokens} tokens of ${lines} lines: drift ${mean.toFixed(3)} on average, ${largest.toFixed(2)} at most, ${(100 * relative).toFixed(1)} % of their size; the same token is the likeliest for ${(100 * sameChoice).toFixed(0)} %`;
}
