import { Command } from 'commander';
import { MODEL_NAMES, modelPreset } from '../models/load.ts';
import type { Part } from '../models/preset.ts';
import { SizeLoader } from '../models/size-loader.ts';
import type { Checkpoint, StoredTensor } from '../tensor/checkpoint.ts';
import { openFiles } from '../tensor/open-files.ts';
import { count, describeShape, sameShape } from '../tensor/shape.ts';
import { megabytes, table } from './options.ts';

export function inspectCommand(): Command {
  return new Command('inspect')
    .description('what is in a checkpoint: its tensors, and the preset that fits it')
    .argument('<file>', 'path, folder, URL or hf:owner/name of a checkpoint')
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExample:\n  $ rasterline inspect c2i_XL_384.pt')
    .action(async (file: string, { json }: { json?: boolean }) => {
      const { checkpoint } = await openFiles(file);
      try {
        const tensors = [...checkpoint.tensors.values()].map(({ name, dtype, shape, bytes }) => ({
          name,
          dtype,
          shape,
          bytes,
        }));
        const presets = await fittingPresets(checkpoint);
        const { format, metadata } = checkpoint;
        if (json) return void console.log(JSON.stringify({ file, format, metadata, presets, tensors }, undefined, 2));
        console.log(
          table([
            ['tensor', 'shape', 'dtype', 'bytes'],
            ...tensors.map((t) => [t.name, describeShape(t.shape), t.dtype, String(t.bytes)]),
          ]),
        );
        const values = tensors.reduce((sum, { shape }) => sum + count(shape), 0);
        const bytes = tensors.reduce((sum, tensor) => sum + tensor.bytes, 0);
        console.log(
          `\n${format}, ${tensors.length} tensors, ${(values / 1e6).toFixed(2)} M values, ${megabytes(bytes)}`,
        );
        for (const [key, value] of Object.entries(metadata)) console.log(`${key}: ${value}`);
        console.log(presets.length > 0 ? `fits: ${presets.join(', ')}` : 'fits no preset');
      } finally {
        await checkpoint.close();
      }
    });
}

/** Presets of which a part takes all tensors of the checkpoint, and no other. Resolutions of one size share them. */
async function fittingPresets({ tensors }: Checkpoint): Promise<string[]> {
  const fitting: string[] = [];
  for (const name of MODEL_NAMES) {
    const preset = modelPreset(name);
    for (const part of Object.keys(preset.parts) as Part[]) {
      const sizes = new SizeLoader('f16');
      await preset.take(part, sizes);
      const official = (name: string) => preset.officialName?.(name) ?? name;
      const needed = [...tensors.values()].filter(
        ({ name }) => !preset.ignored(part).some((pattern) => pattern.test(official(name))),
      );
      const fits = ({ name, shape }: StoredTensor) => sameShape(sizes.shapes.get(official(name)) ?? [], shape);
      if (needed.length === sizes.shapes.size && needed.every(fits)) fitting.push(`${name} (${part})`);
    }
  }
  return fitting;
}
