import { Command } from 'commander';
import type { PolicyName } from '../cache/policies/index.ts';
import { type Comparison, compare } from '../compare.ts';
import type { ImageModel } from '../models/image-model.ts';
import { type LoadModelOptions, loadModel } from '../models/load-model.ts';
import { EMBEDDED_MODEL, EMBEDDED_TEXT_MODEL, modelName } from '../models/registry.ts';
import { encodePng } from '../png.ts';
import type { Driver } from '../tensor/device/adapter.ts';
import { OptionError } from '../tensor/errors.ts';
import { Runtime } from '../tensor/runtime.ts';
import { expectWritable, writeWhole } from '../tensor/source/write-node.ts';
import { classIds } from './classes.ts';
import { interruptible } from './exit.ts';
import { defined, hubEnvironment, megabytes, number, table } from './options.ts';
import { progressBar } from './progress.ts';
import { contactSheet } from './sheet.ts';

interface CompareFlags {
  readonly model?: string;
  readonly classes?: string;
  readonly prompt?: readonly string[];
  readonly checkpoint?: string;
  readonly vq?: string;
  readonly policies: string;
  readonly budgets: string;
  readonly guidance?: number;
  readonly temperature?: number;
  readonly driver: Driver;
  readonly json?: boolean;
  readonly csv?: string;
  readonly sheet?: string;
}

export function compareCommand(): Command {
  return new Command('compare')
    .description('what policies at budgets do to a model, against its own full cache')
    .option('--classes <list>', 'classes by number, or for the emoji model by name, separated by commas')
    .option('--prompt <text...>', 'what to draw, for models that draw from text')
    .option('--model <name>', 'preset (default: emoji, or emoji-text with --prompt)')
    .option('--checkpoint <file>', 'checkpoint of the transformer: path, folder, URL or hf:owner/name@revision')
    .option('--vq <file>', 'checkpoint of the VQ tokenizer')
    .option('--policies <list>', 'policies, separated by commas', 'line-ar,summary')
    .option('--budgets <list>', 'lines remembered, separated by commas', '3,4,8')
    .option('--guidance <scale>', 'classifier-free guidance; 1 or less is off', number)
    .option('--temperature <number>', "at which predictions are compared (default: the model's)", number)
    .option('--driver <name>', 'auto, gpu, lavapipe or swiftshader', 'auto')
    .option('--json', 'as JSON, with the divergence of every line')
    .option('--csv <file>', 'the table as CSV')
    .option('--sheet <file>', 'PNG of what each setting draws by itself, a row each')
    .addHelpText(
      'after',
      '\nExample:\n  $ rasterline compare --classes pizza,tiger --policies line-ar,summary --budgets 3,4 --sheet sheet.png',
    )
    .action(run);
}

async function run(flags: CompareFlags): Promise<void> {
  const { driver, guidance, temperature, checkpoint, vq, csv, sheet } = flags;
  const name = flags.model ?? (flags.prompt ? EMBEDDED_TEXT_MODEL : EMBEDDED_MODEL);
  if ((flags.classes === undefined) === (flags.prompt === undefined))
    throw new OptionError('classes: expected either --classes <list> or --prompt <text...>');
  const settings = list(flags.budgets).flatMap((budget) =>
    list(flags.policies).map((policy) => ({ policy: policy as PolicyName, budgetLines: number(budget) })),
  );
  const prompt = flags.prompt
    ? { prompts: flags.prompt }
    : { classes: await classIds(name, list(flags.classes ?? '')) };
  for (const file of [csv, sheet]) if (file !== undefined) await expectWritable(file);
  const { signal, release } = interruptible();
  try {
    using runtime = await Runtime.open({ driver });
    process.stderr.write(`${runtime.description}\n`);
    const loaded = defined({ checkpoint, vq }) as LoadModelOptions;
    using model = (await loadModel(runtime, modelName(name), {
      ...loaded,
      ...hubEnvironment(),
      signal,
    })) as ImageModel<typeof prompt>;
    const bar = progressBar('comparing');
    const sampling = defined({ guidanceScale: guidance, temperature });
    const onProgress = (done: number, total: number) => bar.update(done, total);
    const result = await compare(model, { prompt, settings, signal, onProgress, ...sampling }).finally(() =>
      bar.stop(),
    );
    const { lines } = model.grid(prompt);
    const rows = result.settings.map(rowOf);
    if (csv !== undefined)
      await writeWhole(csv, new TextEncoder().encode([HEADER, ...rows].map((row) => `${row.join(',')}\n`).join('')));
    if (sheet !== undefined) {
      const full = { images: result.full, keptLines: lines, lines };
      const kept = result.settings.map(({ images, cache }) => ({
        images,
        keptLines: cache.budgetLines ?? lines,
        lines,
      }));
      await writeWhole(sheet, encodePng(contactSheet([full, ...kept])));
    }
    if (flags.json) {
      const plain = result.settings.map(({ images: _, ...figures }) => figures);
      return void console.log(JSON.stringify(plain, undefined, 2));
    }
    console.log(table([HEADER, ...rows]));
  } finally {
    release();
  }
}

const HEADER = ['policy', 'lines', 'KL (nats/token)', 'same choice', 'bits/token', 'tokens as full', 'KV', 'ms/token'];

function rowOf(one: Comparison): string[] {
  return [
    String(one.cache.policy),
    String(one.cache.budgetLines),
    one.divergence.toPrecision(3),
    one.sameChoice.toFixed(3),
    one.bitsPerToken.toFixed(3),
    one.freeAgreement.toFixed(3),
    megabytes(one.kvBytes),
    one.msPerToken.toFixed(1),
  ];
}

function list(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter(Boolean);
}
