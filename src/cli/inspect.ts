import { Command } from 'commander';
import { fittingPresets } from '../models/fitting.ts';
import { openFiles } from '../tensor/open-files.ts';
import { count, describeShape } from '../tensor/shape.ts';
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
        const presets = (await fittingPresets(checkpoint)).map(({ preset, part }) => `${preset.name} (${part})`);
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
