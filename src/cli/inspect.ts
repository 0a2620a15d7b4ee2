import { Command } from 'commander';
import { packagedSource } from '#source';
import { type Fit, fittingModels } from '../models/fitting.ts';
import type { Checkpoint } from '../tensor/checkpoint/checkpoint.ts';
import { openFiles } from '../tensor/checkpoint/open-files.ts';
import { count, describeShape } from '../tensor/shape.ts';
import { printable } from '../tensor/show.ts';
import { type InspectQuantizeFlags, inspectQuantized } from './inspect-quantize.ts';
import { hubEnvironment, megabytes, number, table } from './options.ts';
import { expectQuantized } from './quantize.ts';

type InspectFlags = Omit<InspectQuantizeFlags, 'quantize'> & { readonly quantize?: string };

export function inspectCommand(): Command {
  return new Command('inspect')
    .description('what is in a checkpoint: its tensors, the presets that it fits, and what quantizing it would cost')
    .argument('[file]', 'path, folder, URL or hf:owner/name of a checkpoint (default: the embedded emoji model)')
    .option('--quantize <dtype>', 'error of every matrix as int8 or int4, and the divergence of the logits')
    .option('--no-divergence', 'the errors of the matrices alone, for which no GPU is needed')
    .option('--model <name>', 'preset, of those that the checkpoint fits (default: the first)')
    .option('--vq <file>', 'checkpoint of the VQ tokenizer, without which no logits are drawn')
    .option('--text-encoder <file>', 'checkpoint of the T5 encoder, for the logits of LlamaGen from text')
    .option('--lines <count>', 'lines of an image whose logits are compared', number, 2)
    .option('--driver <name>', 'auto, gpu, lavapipe or swiftshader, for the logits', 'auto')
    .option('--json', 'as JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ rasterline inspect c2i_XL_384.pt
  $ rasterline inspect hf:deepseek-ai/Janus-Pro-1B
  $ rasterline inspect --quantize int4
  $ rasterline inspect --quantize int4 --model llamagen-xl-384 --vq vq_ds16_c2i.pt c2i_XL_384.pt`,
    )
    .action(async (file: string | undefined, { quantize: dtype, ...flags }: InspectFlags) => {
      if (dtype !== undefined) expectQuantized('quantize', dtype);
      const source = file ?? (await packagedSource('checkpoints/emoji/gpt.safetensors'));
      const { checkpoint } = await openFiles(source, hubEnvironment());
      try {
        const fits = fittingModels(checkpoint);
        if (dtype !== undefined) await inspectQuantized(checkpoint, fits, file, { ...flags, quantize: dtype });
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
  const presets = fits.map(({ definition, part }) => `${definition.name} (${part})`);
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
  for (const [key, value] of Object.entries(metadata)) console.log(printable(`${key}: ${value}`));
  console.log(presets.length > 0 ? `fits: ${presets.join(', ')}` : 'fits no preset');
}
