import { Command } from 'commander';
import { packagedSource } from '#source';
import type { QuantizedDtype } from '../kernels/linear/quantize.ts';
import { fittingModels } from '../models/fitting.ts';
import { officialCheckpoint } from '../models/official-names.ts';
import { quantizeCheckpoint } from '../models/weights/quantize-checkpoint.ts';
import { openFiles } from '../tensor/checkpoint/open-files.ts';
import { OptionError } from '../tensor/errors.ts';
import { expectWritable, writePieces } from '../tensor/source/write-node.ts';
import { chosenFit } from './chosen-fit.ts';
import { interruptible } from './exit.ts';
import { namedModel } from './named-model.ts';
import { hubEnvironment, megabytes } from './options.ts';
import { progressBar } from './progress.ts';

interface QuantizeFlags {
  readonly dtype: string;
  readonly out: string;
  readonly model?: string;
  readonly json?: boolean;
}

export function quantizeCommand(): Command {
  return new Command('quantize')
    .description(
      'write a checkpoint with its matrices as whole numbers, once, instead of at every load; no GPU is needed',
    )
    .argument('[file]', 'path, folder, URL or hf:owner/name of a checkpoint (default: the embedded emoji model)')
    .requiredOption('--dtype <type>', 'int8 or int4')
    .requiredOption('--out <file>', 'the .safetensors to write')
    .option('--model <name>', 'preset of those that the checkpoint fits (default: the first), or a JSON file')
    .option('--json', 'as JSON')
    .addHelpText(
      'after',
      `
The file is given as --checkpoint (or --text-encoder) like the original, and draws the same pictures as the original with
that --dtype. It holds what drawing needs; a tokenizer stays beside the original and is named by --tokenizer.
A checkpoint of other sizes than a preset's is told by --model mine.json, with {"family": "llamagen", "config": {"layers": 12, ...}}.

Examples:
  $ rasterline quantize --dtype int8 --out emoji-int8.safetensors
  $ rasterline quantize hf:deepseek-ai/Janus-Pro-1B --dtype int4 --out janus-int4.safetensors
  $ rasterline quantize mine.safetensors --model mine.json --dtype int8 --out mine-int8.safetensors`,
    )
    .action(run);
}

/** Throws OptionError for anything but a dtype of whole numbers. */
export function expectQuantized(option: string, dtype: string): asserts dtype is QuantizedDtype {
  if (dtype !== 'int8' && dtype !== 'int4') throw new OptionError(`${option}: expected int8 or int4, got ${dtype}`);
}

async function run(file: string | undefined, { dtype, out, model, json }: QuantizeFlags): Promise<void> {
  expectQuantized('dtype', dtype);
  if (!out.endsWith('.safetensors'))
    throw new OptionError(`out: expected a file that ends in .safetensors, got ${out}`);
  const named = model === undefined ? undefined : await namedModel(model);
  await expectWritable(out);
  const { checkpoint } = await openFiles(
    file ?? (await packagedSource('checkpoints/emoji/gpt.safetensors')),
    hubEnvironment(),
  );
  const { signal, release } = interruptible();
  const bar = progressBar('quantizing');
  try {
    const fit = chosenFit(checkpoint, fittingModels(checkpoint), named);
    if (!fit) throw new OptionError(`model: expected a checkpoint that fits a preset, got ${checkpoint.name}`);
    const { name } = fit.definition;
    const { weights, officialName } = fit.definition.parts[fit.part]!; // the part that fits
    const onProgress = (progress: { readonly loadedBytes: number; readonly totalBytes: number }) =>
      bar.update(progress.loadedBytes, progress.totalBytes);
    let written = { bytes: 0, layers: 0 };
    await writePieces(out, async (write) => {
      const options = { dtype, model: name, write, onProgress, signal };
      written = await quantizeCheckpoint(officialCheckpoint(checkpoint, officialName), weights, options);
    });
    if (json) console.log(JSON.stringify({ file: out, model: name, part: fit.part, dtype, ...written }, undefined, 2));
    else console.log(`${out}: ${written.layers} layers of ${name} in ${dtype}, ${megabytes(written.bytes)}`);
  } finally {
    bar.stop();
    release();
    await checkpoint.close();
  }
}
