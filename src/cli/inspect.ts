import { Command } from 'commander';
import { packagedSource } from '#platform';
import { MODEL_NAMES, modelPreset } from '../models/load.ts';
import type { Part } from '../models/preset.ts';
import { SizeLoader } from '../models/size-loader.ts';
import type { Driver } from '../tensor/adapter.ts';
import type { Checkpoint, StoredTensor } from '../tensor/checkpoint.ts';
import { OptionError } from '../tensor/errors.ts';
import { openFiles } from '../tensor/open-files.ts';
import { count, describeShape, sameShape } from '../tensor/shape.ts';
import { defined, megabytes, number, table } from './options.ts';
import { driftLine, errorTable, expectQuantised, layerErrors } from './quantize.ts';

interface InspectFlags {
  readonly json?: boolean;
  readonly quantize?: string;
  readonly vq?: string;
  readonly lines: number;
  readonly driver: Driver;
}

/** A preset, and which of its checkpoints a file is. */
interface Fit {
  readonly name: string;
  readonly part: Part;
}

export function inspectCommand(): Command {
  return new Command('inspect')
    .description('what is in a checkpoint: its tensors, the presets that it fits, and what quantising it would cost')
    .argument('[file]', 'path, folder, URL or hf:owner/name of a checkpoint (default: the embedded emoji model)')
    .option('--quantize <dtype>', 'error of every matrix as int8 or int4, and the drift of the logits')
    .option('--vq <file>', 'checkpoint of the VQ tokenizer, without which no logits are drawn')
    .option('--lines <count>', 'lines of an image whose logits are compared', number, 2)
    .option('--driver <name>', 'auto, gpu, lavapipe or swiftshader, for the logits', 'auto')
    .option('--json', 'as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  $ rasterline inspect c2i_XL_384.pt\n  $ rasterline inspect hf:deepseek-ai/Janus-Pro-1B\n  $ rasterline inspect --quantize int4',
    )
    .action(async (file: string | undefined, flags: InspectFlags) => {
      const source = file ?? (await packagedSource('checkpoints/emoji/gpt.safetensors'));
      const { checkpoint } = await openFiles(source);
      try {
        const fits = await fittingPresets(checkpoint);
        if (flags.quantize !== undefined) await quantize(checkpoint, fits, file, flags.quantize, flags);
        else describe(checkpoint, fits, flags.json);
      } finally {
        await checkpoint.close();
      }
    });
}

function describe(checkpoint: Checkpoint, fits: readonly Fit[], json = false): void {
  const { name: file, format, metadata } = checkpoint;
  const tensors = [...checkpoint.tensors.values()].map(({ name, dtype, shape, bytes }) => ({
    name,
    dtype,
    shape,
    bytes,
  }));
  const presets = fits.map(({ name, part }) => `${name} (${part})`);
  if (json) return void console.log(JSON.stringify({ file, format, metadata, presets, tensors }, undefined, 2));
  console.log(
    table([
      ['tensor', 'shape', 'dtype', 'bytes'],
      ...tensors.map((t) => [t.name, describeShape(t.shape), t.dtype, String(t.bytes)]),
    ]),
  );
  const values = tensors.reduce((sum, { shape }) => sum + count(shape), 0);
  const bytes = tensors.reduce((sum, tensor) => sum + tensor.bytes, 0);
  console.log(`\n${format}, ${tensors.length} tensors, ${(values / 1e6).toFixed(2)} M values, ${megabytes(bytes)}`);
  for (const [key, value] of Object.entries(metadata)) console.log(`${key}: ${value}`);
  console.log(presets.length > 0 ? `fits: ${presets.join(', ')}` : 'fits no preset');
}

async function quantize(
  checkpoint: Checkpoint,
  [fit]: readonly Fit[],
  file: string | undefined,
  dtype: string,
  { vq, lines, driver, json }: InspectFlags,
): Promise<void> {
  expectQuantised(dtype);
  if (!fit) throw new OptionError(`${checkpoint.name}: expected a checkpoint that fits a preset, got none that does`);
  const most = modelPreset(fit.name).grid.lines;
  if (!Number.isSafeInteger(lines) || lines < 1 || lines > most)
    throw new OptionError(`lines: expected a whole number from 1 to ${most}, got ${lines}`);
  const errors = await layerErrors(checkpoint, fit.name, fit.part, dtype);
  if (errors.length === 0) return void console.log(`${checkpoint.name}: nothing to quantise, all of it stays in float`);
  if (json) return void console.log(JSON.stringify({ file: checkpoint.name, dtype, errors }, undefined, 2));
  console.log(errorTable(errors));
  if (fit.part !== 'checkpoint') return;
  const { vq: needed } = modelPreset(fit.name).parts;
  if (file !== undefined && needed && vq === undefined)
    return void console.log('give --vq for the drift of the logits');
  console.log(await driftLine(fit.name, defined({ checkpoint: file, vq }), dtype, lines, driver));
}

/** Presets of which a part takes all tensors of the checkpoint, and no other. Resolutions of one size share them. */
async function fittingPresets({ tensors }: Checkpoint): Promise<readonly Fit[]> {
  const fitting: Fit[] = [];
  for (const name of MODEL_NAMES) {
    const preset = modelPreset(name);
    for (const part of Object.keys(preset.parts) as Part[]) {
      const sizes = new SizeLoader('f16');
      await preset.take(part, sizes);
      const official = (tensor: string) => preset.officialName?.(tensor) ?? tensor;
      const needed = [...tensors].filter(([tensor]) => !preset.ignored(part).some((p) => p.test(official(tensor))));
      const fits = ([tensor, { shape }]: [string, StoredTensor]) =>
        sameShape(sizes.shapes.get(official(tensor)) ?? [], shape);
      if (needed.length === sizes.shapes.size && needed.every(fits)) fitting.push({ name, part });
    }
  }
  return fitting;
}
