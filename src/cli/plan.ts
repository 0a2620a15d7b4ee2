import { Command } from 'commander';
import type { WeightDtype } from '../models/family.ts';
import { MODEL_NAMES } from '../models/registry.ts';
import { type MemoryPlan, plan } from '../plan.ts';
import { addCacheOptions, type CacheFlags, cacheOptions, megabytes, number, table } from './options.ts';
import { paperTable } from './paper.ts';

const PAPER_NOTE = `paper: the whole process on an A100-class GPU with PyTorch, as arXiv 2512.04857 reports it
ours: weights, keys and values, slots and activations in f16 with guidance, one prompt of 64 tokens an image`;

interface PlanFlags extends CacheFlags {
  readonly model: string;
  readonly batch: number;
  readonly guided: boolean;
  readonly dtype: WeightDtype;
  readonly all?: boolean;
  readonly paper?: boolean;
  readonly promptTokens: number;
  readonly window?: number;
  readonly json?: boolean;
}

export function planCommand(): Command {
  const command = new Command('plan')
    .description('bytes that a run needs, before anything is downloaded or loaded; no GPU is needed')
    .option('--model <name>', 'preset', 'emoji')
    .option('--batch <images>', 'images drawn at once', number, 1)
    .option('--no-guided', 'without guidance, which halves the rows')
    .option('--dtype <type>', 'storage of weights: f16, f32, int8 or int4', 'f16')
    .option('--prompt-tokens <count>', 'tokens of the longest prompt, for models that draw from text', number, 64)
    .option('--window <columns>', 'lines in parallel, each so many columns ahead of the next', number)
    .option('--all', 'every preset')
    .option('--paper', "the paper's memory rows beside ours, all six models")
    .option('--json', 'as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  $ rasterline plan --model llamagen-xl-384 --batch 8 --budget 4\n  $ rasterline plan --all\n  $ rasterline plan --paper',
    );
  return addCacheOptions(command).action(async (flags: PlanFlags) => {
    if (flags.paper) return void console.log(`${await paperTable()}\n\n${PAPER_NOTE}`);
    const { batch, guided, dtype, promptTokens } = flags;
    const parallel = flags.window === undefined ? {} : { parallel: { window: flags.window } };
    const names = flags.all ? MODEL_NAMES : [flags.model];
    const plans = await Promise.all(
      names.map((name) => plan(name, { batch, guided, dtype, promptTokens, cache: cacheOptions(flags), ...parallel })),
    );
    if (flags.json) return void console.log(JSON.stringify(flags.all ? plans : plans[0], undefined, 2));
    const rows = await Promise.all(
      plans.map(async (one) => describe(one, await plan(one.model, { batch, guided, dtype, promptTokens }))),
    );
    console.log(
      table([
        ['model', 'lines', 'parameters', 'weights', 'KV', 'KV full', 'slots', 'activations', 'decoder', 'total'],
        ...rows,
      ]),
    );
  });
}

function describe(one: MemoryPlan, full: MemoryPlan): string[] {
  return [
    one.model,
    `${one.budgetLines} of ${one.lines}`,
    `${(one.parameters / 1e6).toFixed(1)} M`,
    ...[one.weightBytes, one.kvBytes, full.kvBytes, one.slotBytes, one.stepBytes, one.decodeBytes, one.totalBytes].map(
      megabytes,
    ),
  ];
}
