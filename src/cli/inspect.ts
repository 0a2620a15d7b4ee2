import { Command } from 'commander';
import { LLAMAGEN_PRESETS } from '../models/llamagen/config.ts';
import { type Checkpoint, openCheckpoint } from '../tensor/checkpoint.ts';
import { openSource } from '../tensor/open-source.ts';
import { count, describeShape } from '../tensor/shape.ts';
import { megabytes, table } from './options.ts';

export function inspectCommand(): Command {
  return new Command('inspect')
    .description('what is in a checkpoint: its tensors, and the preset that fits it')
    .argument('<file>', 'path or URL of a .safetensors or .pt file')
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExample:\n  $ rasterline inspect c2i_XL_384.pt')
    .action(async (file: string, { json }: { json?: boolean }) => {
      const checkpoint = await openCheckpoint(await openSource(file));
      try {
        const tensors = [...checkpoint.tensors.values()].map(({ name, dtype, shape, bytes }) => ({
          name,
          dtype,
          shape,
          bytes,
        }));
        const presets = fittingPresets(checkpoint);
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
        console.log(presets.length > 0 ? `fits: ${presets.join(', ')}` : 'fits no preset of a transformer');
      } finally {
        await checkpoint.close();
      }
    });
}

/** Presets whose table, MLP and condition have the checkpoint's shapes. Resolutions of one size share them. */
function fittingPresets({ tensors }: Checkpoint): string[] {
  const shape = (name: string) => describeShape(tensors.get(name)?.shape ?? []);
  const fits = Object.entries(LLAMAGEN_PRESETS).filter(([, { width, hidden, vocabulary, layers, condition }]) => {
    const classes = condition.kind === 'class';
    return (
      shape('tok_embeddings.weight') === describeShape([vocabulary, width]) &&
      shape(`layers.${layers - 1}.feed_forward.w1.weight`) === describeShape([hidden, width]) &&
      !tensors.has(`layers.${layers}.feed_forward.w1.weight`) &&
      (classes
        ? shape('cls_embedding.embedding_table.weight') === describeShape([condition.classes + 1, width])
        : tensors.has('cls_embedding.uncond_embedding'))
    );
  });
  return fits.map(([name]) => name);
}
